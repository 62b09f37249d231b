"""Run the block several times on the demo's recordings, each time with a new local Studio."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from block.local_studio.data.project import LocalProject
from block.local_studio.jobs.block import read_block
from block.local_studio.jobs.form import build_arguments
from block.local_studio.server import running
from demo.run import HERE, ROOT, read_back

Labels = dict[str, list[dict[str, Any]]]


@dataclass
class Outcome:
    """The result of a run: its exit code, its output, and the labels in Studio by recording."""

    code: int
    output: str
    errors: str
    labels: Labels = field(default_factory=dict)

    @classmethod
    def of(cls, done: subprocess.CompletedProcess[str]) -> Outcome:
        return cls(done.returncode, done.stdout, done.stderr)


@dataclass
class Runs:
    """Runs of the block, with their recordings and ids in `folder`."""

    folder: Path
    count: int = 0

    def label(self, run: Callable[..., Outcome], *arguments: str) -> Outcome:
        """Let `run(arguments, environment, ids_file)` label the recordings.

        The arguments are the defaults of the form in parameters.json, followed by `arguments`.
        """
        self.count += 1
        place = self.folder / f"run-{self.count}"
        recordings = Path(shutil.copytree(HERE / "recordings", place / "recordings"))
        job = place / "job"
        job.mkdir()
        defaults = build_arguments(read_block(ROOT), {})
        project = LocalProject(recordings)
        try:
            project.scan()
            ids = [sample.id for sample in project.samples()]
            (job / "ids.json").write_text(json.dumps(ids), encoding="utf-8")
            with running(project) as address:
                environment = {
                    "EI_API_ENDPOINT": address.endpoint,
                    "EI_PROJECT_API_KEY": address.key,
                    "EI_PROJECT_ID": str(project.id),
                }
                outcome = run([*defaults, *arguments], environment, job / "ids.json")
                samples = [read_back(address, project.id, one) for one in ids]
        finally:
            project.close()
        outcome.labels = {sample["filename"]: sample.get("structuredLabels") or [] for sample in samples}
        return outcome
