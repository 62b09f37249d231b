"""The way from the arguments of the AI Action to its labels reads straight.

A reader follows the arguments, and every object made of them, into each function that gets one, in the order of the
calls, and reads a function once. A stay is a row of such functions in one module. A return is a stay in a module that
the reader has left before.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from block.commands.transform import run_action
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from tests.conftest import EMBEDDED, ROOT
from tests.local_studio.conftest import add_recordings, make_audio_bytes
from tests.stub import engine

VALUES = (str, bytes, int, float, type, types.FunctionType, types.MethodType)
PACKAGE = f"{ROOT / 'block'}/"


class Reader:
    """Follow objects through the calls of the package. `stays` are the modules, in order."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.stays: list[str] = []
        self._followed: dict[int, object] = {id(argv): argv}
        self._read: set[types.CodeType] = set()
        self._open: set[int] = set()

    def __call__(self, frame: types.FrameType, event: str, result: Any) -> None:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return
        if event == "return" and id(frame) in self._open:
            self._open.remove(id(frame))
            self._follow(result)
        elif event == "call":
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            if any(id(frame.f_locals.get(name)) in self._followed for name in names if name != "self"):
                self._enter(frame, code)

    def _enter(self, frame: types.FrameType, code: types.CodeType) -> None:
        self._open.add(id(frame))
        if code.co_name == "__init__":
            self._follow(frame.f_locals["self"])
        module = code.co_filename.removeprefix(PACKAGE)
        if code not in self._read and self.stays[-1:] != [module]:
            self.stays.append(module)
        self._read.add(code)

    def _follow(self, made: object) -> None:
        if made is not None and not isinstance(made, VALUES):
            self._followed[id(made)] = made


def test_the_way_from_the_arguments_to_the_labels_turns_back_at_most_three_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "block.labeling.engine", engine)
    (tmp_path / "audio").mkdir()
    project = LocalProject(tmp_path / "audio")
    ids = tmp_path / "ids.json"
    with running(project) as address:
        ids.write_text(json.dumps(add_recordings(project, 1, make_audio_bytes())))
        monkeypatch.setenv("EI_PROJECT_API_KEY", address.key)
        monkeypatch.setenv("EI_API_ENDPOINT", address.endpoint)
        argv = ["--data-ids-file", str(ids), "--model", str(EMBEDDED)]
        reader = Reader(argv)
        sys.setprofile(reader)
        try:
            code = run_action(argv)
        finally:
            sys.setprofile(None)
    project.close()
    assert code == 0
    assert reader.stays[0] == "commands/transform.py"
    assert reader.stays[-1] == "edge_impulse/executor.py"
    assert len(reader.stays) - len(set(reader.stays)) <= 3, reader.stays
