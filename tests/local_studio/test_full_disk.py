"""A project on a full disk: the error is reported, and nothing is half done."""

from __future__ import annotations

import re
from pathlib import Path

import requests

from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from tests.local_studio.conftest import add_recording

VALUES = 16000


def test_labels_that_do_not_fit_on_the_disk_are_refused_and_the_old_ones_stay(tmp_path: Path) -> None:
    project = LocalProject(tmp_path)
    sample_id = add_recording(project, VALUES)
    with running(project) as address:
        page = requests.get(f"{address.url}/recordings/{sample_id}", timeout=10).text
        token = re.search(r'name="csrf-token" content="(\w+)"', page)[1]  # type: ignore[index]
        many = [{"startIndex": at, "endIndex": at, "label": f"label {at} {'x' * 100}"} for at in range(VALUES)]

        def save(labels: list[dict[str, object]]) -> requests.Response:
            return requests.post(
                f"{address.url}/recordings/{sample_id}/labels",
                json={"revision": project.sample(sample_id).revision, "labels": labels},
                headers={"x-csrf-token": token},
                timeout=10,
            )

        assert save([{"startIndex": 0, "endIndex": VALUES - 1, "label": "rain"}]).status_code == 200
        (pages,) = project.store.read("PRAGMA page_count")[0]
        project.store.read(f"PRAGMA max_page_count = {pages}")
        refused = save(many)
        assert refused.status_code == 507
        assert "full. Nothing was changed." in refused.json()["error"]
        (label,) = project.sample(sample_id).structured_labels or ()
        assert (label.end_index, label.label) == (VALUES - 1, "rain")
        project.store.read("PRAGMA max_page_count = 1000000")
        assert save(many).status_code == 200
        assert len(project.sample(sample_id).structured_labels or ()) == VALUES
    project.close()
