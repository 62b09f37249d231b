"""List known vulnerabilities of the pinned packages: python locked/audit.py PYTHON, where PYTHON has pip-audit.

It asks the package index for advisories by name and version, and sends nothing else. A mirror may have no advisories,
so it first asks about a package that is known to have some. Exit codes: 0 no known vulnerability, 1 some, 2 the audit
failed.
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
PARTS = ("run", "torch", "studio", "folder", "ray", "openvino", "dev", "bench", "audit")
VULNERABLE = "jinja2==2.10"  # CVE-2019-10906


class AuditFailed(Exception):
    """Some packages could not be audited; the message says why."""


def read_pins() -> list[str]:
    """Return `name==version` of all locked packages, for every Python and system."""
    texts = [(HERE / f"{part}.txt").read_text(encoding="utf-8") for part in PARTS]
    return sorted({pin for text in texts for pin in re.findall(r"^[\w.-]+==[\w.!+-]+", text, re.M)})


def find_vulnerabilities(python: str, wanted: Sequence[str]) -> dict[str, list[str]]:
    """Return the ids of known vulnerabilities by pin, for pins that have any. Raise AuditFailed."""
    found: dict[str, list[str]] = {}
    for one in _split_rounds(wanted):
        for answer in _run_pip_audit(python, one):
            if "skip_reason" in answer:
                raise AuditFailed(str(answer["skip_reason"])[:300])
            if answer["vulns"]:
                found[f"{answer['name']}=={answer['version']}"] = [vuln["id"] for vuln in answer["vulns"]]
    return found


def _split_rounds(wanted: Sequence[str]) -> list[list[str]]:
    """Split pins into rounds with one version per package, because pip-audit accepts no more."""
    rounds: list[dict[str, str]] = []
    for pin in wanted:
        name = pin.partition("==")[0]
        place = next((one for one in rounds if name not in one), None)
        if place is None:
            rounds.append(place := {})
        place[name] = pin
    return [list(one.values()) for one in rounds]


def _run_pip_audit(python: str, wanted: Sequence[str]) -> list[dict[str, Any]]:
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
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise AuditFailed(lines[-1][:300] if lines else "pip-audit gives no reason") from None
    return answers


def main(python: str) -> int:
    """Run the audit, print the known vulnerabilities, and return the exit code."""
    wanted = read_pins()
    try:
        if not find_vulnerabilities(python, [VULNERABLE]):
            raise AuditFailed(f"the package index has no advisories, not even for {VULNERABLE}")
        found = find_vulnerabilities(python, wanted)
    except AuditFailed as error:
        print(f"the audit failed, because no advisories are available here: {error}")
        return 2
    for pin, ids in sorted(found.items()):
        print(f"{pin}: {', '.join(ids)}")
    print(f"{len(wanted)} pinned packages, {len(found)} with known vulnerabilities")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
