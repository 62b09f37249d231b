"""Which pinned packages have known vulnerabilities: python locked/audit.py PYTHON, one that has pip-audit.

Asks the package index for its advisories, by name and version, and sends nothing else. A mirror may have none: so it is
asked about a package first that is known to have some. Exit codes: 0 no vulnerability is known, 1 some are, 2 not all
could be asked about.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PARTS = ("run", "torch", "studio", "folder", "ray", "dev", "bench", "audit")
VULNERABLE = "jinja2==2.10"  # CVE-2019-10906


class NotAudited(Exception):
    """Some packages could not be asked about; the message says why."""


def pins() -> list[str]:
    """`name==version` of all that is locked, for whichever Python and system."""
    texts = [(HERE / f"{part}.txt").read_text(encoding="utf-8") for part in PARTS]
    return sorted({pin for text in texts for pin in re.findall(r"^[\w.-]+==[\w.!+-]+", text, re.M)})


def known(python: str, wanted: Sequence[str]) -> dict[str, list[str]]:
    """The ids of the vulnerabilities of each pin that has any. Raises NotAudited."""
    found: dict[str, list[str]] = {}
    for one in _rounds(wanted):
        for answer in _asked(python, one):
            if "skip_reason" in answer:
                raise NotAudited(str(answer["skip_reason"])[:300])
            if answer["vulns"]:
                found[f"{answer['name']}=={answer['version']}"] = [vuln["id"] for vuln in answer["vulns"]]
    return found


def _rounds(wanted: Sequence[str]) -> list[list[str]]:
    """pip-audit takes one version of a package at a time."""
    rounds: list[dict[str, str]] = []
    for pin in wanted:
        name = pin.partition("==")[0]
        place = next((one for one in rounds if name not in one), None)
        if place is None:
            rounds.append(place := {})
        place[name] = pin
    return [list(one.values()) for one in rounds]


def _asked(python: str, wanted: Sequence[str]) -> list[dict[str, Any]]:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(wanted) + "\n")
        file.flush()
        done = subprocess.run(  # noqa: S603
            [python, "-m", "pip_audit", "--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off",
             "--timeout", "30", "--requirement", file.name],
            capture_output=True, text=True,
        )  # fmt: skip
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        told = [line for line in done.stderr.splitlines() if line.strip()]
        raise NotAudited(told[-1][:300] if told else "pip-audit gives no reason") from None
    return answers


def main(python: str) -> int:
    """Ask, and print what is known."""
    wanted = pins()
    try:
        if not known(python, [VULNERABLE]):
            raise NotAudited(f"it has no advisories: it knows of none for {VULNERABLE}")
        found = known(python, wanted)
    except NotAudited as error:
        print(f"not audited; the database of vulnerabilities cannot be had here: {error}")
        return 2
    for pin, ids in sorted(found.items()):
        print(f"{pin}: {', '.join(ids)}")
    print(f"{len(wanted)} pinned packages, {len(found)} with known vulnerabilities")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
