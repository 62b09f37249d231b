"""`python -m block COMMAND`: what is done on this machine, besides the AI Action itself."""

from block.cli import command

if __name__ == "__main__":
    command()
