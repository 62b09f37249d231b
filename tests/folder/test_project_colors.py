"""The colors that a local Studio gave to labels, read from its database without changing anything."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from block.folder.project_colors import DATABASE, read_project_colors
from block.local_studio.data.project import LocalProject
from block.local_studio.web.label_colors import LabelColors


def test_colors_are_read_while_the_folder_is_served_and_after(tmp_path: Path) -> None:
    project = LocalProject(tmp_path)
    colors = LabelColors(project.store)
    expected = {label: colors(label) for label in ("dog", "rain", "other")}
    assert read_project_colors(tmp_path) == expected
    project.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert read_project_colors(tmp_path) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_folder_without_a_usable_database_has_no_colors(tmp_path: Path) -> None:
    assert read_project_colors(tmp_path) == {}
    (tmp_path / DATABASE).write_bytes(b"no database" * 100)
    assert read_project_colors(tmp_path) == {}
    (tmp_path / DATABASE).unlink()
    elsewhere = tmp_path / "elsewhere"
    with sqlite3.connect(elsewhere) as database:
        database.execute("CREATE TABLE label_colors (label, color)")
        database.execute("INSERT INTO label_colors VALUES ('dog', 1), ('cat', 99), ('cow', 'blue')")
    database.close()
    (tmp_path / DATABASE).symlink_to(elsewhere)
    assert read_project_colors(tmp_path) == {}
    (tmp_path / DATABASE).unlink()
    elsewhere.rename(tmp_path / DATABASE)
    assert read_project_colors(tmp_path) == {"dog": 1}
