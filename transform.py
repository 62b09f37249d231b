"""Entry point of the AI Action."""

from block.cli import main

if __name__ == "__main__":
    main()
