"""The parsers of all commands, taken from the commands themselves: the documentation is checked against them."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from typing import NoReturn
from unittest import mock

from block.cli import COMMANDS
from block.commands.options import parse

TRANSFORM = "transform.py"


class Captured(Exception):
    """The parser that a command was about to use."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


def capture_parser(start: Callable[[], object]) -> argparse.ArgumentParser:
    """Return the parser that `start` uses first. Nothing after that runs."""

    def capture(self: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        raise Captured(self)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", capture):
        try:
            start()
        except Captured as captured:
            return captured.parser
    raise AssertionError("no parser was used")


def read_parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command by its name; `transform.py` is the AI Action."""
    found = {TRANSFORM: capture_parser(lambda: parse([], lambda _: None))}
    for name in COMMANDS:
        main = importlib.import_module(f"block.commands.{name}").main
        found[name] = capture_parser(lambda main=main: main([]))  # type: ignore[misc]
    return found


def list_subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of a command's own commands by name; none if it has no such commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def list_options(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    """Return the arguments and options of a parser, but for --help and its commands."""
    left_out = (argparse._HelpAction, argparse._SubParsersAction)
    return [action for action in parser._actions if not isinstance(action, left_out)]
