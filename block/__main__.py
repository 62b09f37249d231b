"""`python -m block COMMAND`: everything but the AI Action itself."""

from block.cli import main_command

if __name__ == "__main__":
    main_command()
