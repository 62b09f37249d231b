"""Entry point of `python -m block COMMAND`: all commands except the AI Action."""

from block.cli import main_command

if __name__ == "__main__":
    main_command()
