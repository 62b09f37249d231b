"""Entry point of `python -m block COMMAND` and `ast-label COMMAND`: all commands except the AI Action."""

from block.runtime.imports import import_or_exit


def main() -> None:
    """Run the command in this process's arguments and exit."""
    import_or_exit("block.cli").main_command()


if __name__ == "__main__":
    main()
