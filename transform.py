"""Entry point of the AI Action."""

from block.runtime.imports import import_or_exit

if __name__ == "__main__":
    import_or_exit("block.cli").main()
