"""`python -m tests.cluster.measure`: time a plain run, one worker and two workers in turns, then kill a node.

The cluster uses Ray's own utility for several nodes on one machine; the commands are those that users type. The exit
code is 1 if a check fails. It takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile

from tests.cluster import nodes as cluster
from tests.cluster.nodes import ONE_THREAD, Ended, Nodes, label_command, run
from tests.cluster.outputs import count_rows, find_differences
from tests.conftest import EMBEDDED, ROOT
from tests.soak.check import Check, at_most, no_problems

DOCS = ROOT / "docs" / "ray.md"
RATE_HZ = 16000
RECORDINGS, SECONDS, ROUNDS = 240, 30, 2
SPEEDUP, OVERHEAD_PERCENT = 1.8, 10.0
PLAIN, ONE, TWO = "plain", "one", "two"
WAY_TEXTS = {PLAIN: "without Ray, one thread", ONE: "one worker", TWO: "two workers"}
WORKERS = {ONE: 1, TWO: 2}


@dataclass(frozen=True)
class Way:
    """The seconds of each round of one way to run, with all recordings and with a single short one."""

    whole_s: tuple[float, ...]
    start_s: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return median(self.whole_s)

    @property
    def start(self) -> float:
        return median(self.start_s)

    @property
    def rest(self) -> float:
        """Seconds without those of a run that has almost nothing to do."""
        return self.seconds - self.start


@dataclass(frozen=True)
class Killed:
    """A run in which a node was killed: when, the longest pause after that, and the results. Times in seconds."""

    seconds: float
    at_s: float
    labeled_before: int
    silence_s: float
    code: int
    labeled: int
    twice: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """All measurements."""

    recordings: int
    audio_s: float
    load: float
    ways: dict[str, Way]
    problems: tuple[str, ...]
    killed: Killed

    @property
    def speedup(self) -> float:
        return self.ways[ONE].seconds / self.ways[TWO].seconds

    @property
    def speedup_of_rest(self) -> float:
        return self.ways[ONE].rest / self.ways[TWO].rest

    @property
    def overhead(self) -> float:
        """Overhead in percent."""
        return 100 * (self.ways[ONE].seconds / self.ways[PLAIN].seconds - 1)

    @property
    def overhead_of_rest(self) -> float:
        """Overhead in percent."""
        return 100 * (self.ways[ONE].rest / self.ways[PLAIN].rest - 1)

    def checks(self) -> list[Check]:
        """Return the checks of what docs/ray.md promises."""
        killed = self.killed
        return [
            no_problems("labels and scores of all runs", self.problems),
            Check("two workers against one", self.speedup >= SPEEDUP, f"{self.speedup:.2f}, at least {SPEEDUP}"),
            at_most("one worker over the plain run", self.overhead, OVERHEAD_PERCENT, "%"),
            Check("exit code after a node was killed", killed.code == 0, str(killed.code)),
            Check(
                "labeled in spite of that", killed.labeled == self.recordings, f"{killed.labeled} of {self.recordings}"
            ),
            Check("stored twice", killed.twice == 0, str(killed.twice)),
            no_problems("labels and scores after a node was killed", killed.problems),
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self), "speedup": self.speedup, "speedup_without_start": self.speedup_of_rest,
            "overhead_percent": self.overhead, "overhead_percent_without_start": self.overhead_of_rest,
            "checks": [str(check) for check in self.checks()],
        }  # fmt: skip


def main() -> int:
    """Measure, and return the exit code."""
    options = _parser().parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cluster-") as scratch:
        found = _measure(Path(scratch), options)
    (options.out / "cluster.json").write_text(json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n")
    tables = format_table(found)
    print(f"\n{tables}\n")
    if options.docs:
        DOCS.write_text(replace_marked(DOCS.read_text(), "measured", f"\n{tables}\n"))
    _say(f"{(time.monotonic() - began) / 60:.0f} minutes; results in {options.out / 'cluster.json'}")
    checks = found.checks()
    for check in checks:
        print(check)
    return 0 if all(check.kept for check in checks) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.measure", description="Measure a cluster. See docs/ray.md."
    )
    parser.add_argument("--out", type=Path, default=Path("build/cluster"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--recordings", type=int, default=RECORDINGS, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=int, default=SECONDS, metavar="S", help="length of each; default: %(default)s"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help="rounds of alternating runs; default: %(default)s"
    )
    parser.add_argument("--model", default=str(EMBEDDED), metavar="DIR", help="default: the embedded checkpoint")
    parser.add_argument("--docs", action="store_true", help="write the results into docs/ray.md")
    return parser


def _say(line: str) -> None:
    print(f"cluster: {line}", flush=True)


def _measure(scratch: Path, options: argparse.Namespace) -> Found:
    made, short = scratch / "recordings", scratch / "short"
    audio_s = make_recordings(made, options.recordings, options.seconds)
    make_recordings(short, 1, 2)
    load = os.getloadavg()[0]
    whole: dict[str, list[float]] = {way: [] for way in WAY_TEXTS}
    start: dict[str, list[float]] = {way: [] for way in WAY_TEXTS}
    problems: list[str] = []
    with cluster.nodes(2) as there:
        for number in range(options.rounds):
            for way in WAY_TEXTS:
                start[way].append(_ran(short, scratch / f"{way}-short-{number}", way, there, options.model).seconds)
                ended = _ran(made, scratch / f"{way}-{number}", way, there, options.model)
                whole[way].append(ended.seconds)
                _say(f"{WAY_TEXTS[way]}: {ended.seconds:.1f} s, of which {start[way][-1]:.1f} s startup and shutdown")
                if (way, number) != (PLAIN, 0):
                    problems += find_differences(scratch / f"{PLAIN}-0", scratch / f"{way}-{number}")
    killed = _kill_driver(made, scratch / "killed", scratch / f"{PLAIN}-0", options)
    ways = {way: Way(tuple(whole[way]), tuple(start[way])) for way in WAY_TEXTS}
    return Found(options.recordings, audio_s, load, ways, tuple(problems), killed)


def make_recordings(folder: Path, count: int, seconds: int, seed: int = 0) -> float:
    """Write `count` different recordings of swelling noise, about `seconds` long, and return their total length."""
    folder.mkdir()
    chance = np.random.default_rng(seed)
    total = 0.0
    for number in range(count):
        values = int(RATE_HZ * seconds * chance.uniform(0.8, 1.2)) if count > 1 else RATE_HZ * seconds
        swell = 0.5 + 0.5 * np.sin(np.arange(values) * chance.uniform(0.5, 5) / RATE_HZ)
        audio = (chance.normal(0, 0.1, values) * swell).astype(np.float32)
        soundfile.write(folder / f"recording {number:04d}.wav", audio, RATE_HZ, subtype="PCM_16")
        total += values / RATE_HZ
    return total


def _ran(folder: Path, out: Path, way: str, there: Nodes, model: str) -> Ended:
    ray = ["--ray", there.address, "--ray-workers", str(WORKERS[way])] if way in WORKERS else []
    command = label_command(folder, out, model, *ray)
    ended = run(command) if way in WORKERS else run(command, **ONE_THREAD)
    if ended.code:
        raise RuntimeError(f"{WAY_TEXTS[way]}: exit code {ended.code}\n{ended.text[-3000:]}")
    return ended


def _kill_driver(folder: Path, out: Path, expected: Path, options: argparse.Namespace) -> Killed:
    """Run on two nodes, and kill one once half of the recordings are labeled."""
    began, killed_at, labeled = time.monotonic(), 0.0, 0
    with cluster.nodes(2) as there:
        began = time.monotonic()

        def tell(line: str) -> None:
            nonlocal killed_at, labeled
            labeled += bool(cluster.LABELED.match(line))
            if not killed_at and labeled >= options.recordings / 2:
                there.kill(0)
                killed_at = time.monotonic() - began

        ray = ["--ray", there.address, "--ray-workers", "1-2"]
        ended = run(label_command(folder, out, options.model, *ray), tell)
    if not killed_at:
        raise RuntimeError(f"the run ended before a node could be killed: exit code {ended.code}\n{ended.text[-3000:]}")
    (out.parent / "killed.txt").write_text(ended.text)
    at = ended.labeled_at()
    before = sum(one <= killed_at for one in at)
    times = [killed_at, *(one for one in at if one > killed_at), ended.seconds]
    silence = max(later - earlier for earlier, later in zip(times, times[1:], strict=False))
    _say(f"a node killed after {killed_at:.1f} s, with {before} labeled: {ended.seconds:.1f} s in total")
    rows = count_rows(out)
    twice = sum(many > 1 for many in rows.values())
    return Killed(
        ended.seconds, killed_at, before, silence, ended.code, len(rows), twice, tuple(find_differences(expected, out))
    )


def format_table(found: Found) -> str:
    """Return the results in Markdown."""
    plain = found.ways[PLAIN]
    lines = [
        f"{found.recordings:,} recordings, {found.audio_s / 3600:.1f} hours of audio; medians of {len(plain.whole_s)} "
        "alternating rounds.",
        "",
        "| | seconds | of which startup and shutdown | recordings/s in between |",
        "|---|---|---|---|",
    ]
    for way, words in WAY_TEXTS.items():
        one = found.ways[way]
        lines.append(f"| {words} | {one.seconds:.1f} | {one.start:.1f} | {found.recordings / one.rest:.2f} |")
    killed = found.killed
    lines += [
        "",
        "| | whole run | without startup and shutdown |",
        "|---|---|---|",
        f"| two workers against one | {found.speedup:.2f} | {found.speedup_of_rest:.2f} |",
        f"| one worker over the plain run | {found.overhead:+.1f} % | {found.overhead_of_rest:+.1f} % |",
        "",
        f"One node was killed after {killed.at_s:.0f} s, when {killed.labeled_before} recordings were labeled. The "
        f"longest pause without new results was {killed.silence_s:.0f} s. After {killed.seconds:.0f} s,",
        f"{killed.labeled} recordings were labeled, {killed.twice} of them twice.",
    ]
    same = not found.problems and not killed.problems
    lines += [
        "All runs wrote the same label files, byte for byte, and the same scores, bit for bit."
        if same
        else "FILES DIFFER."
    ]
    return "\n".join(lines)


def replace_marked(text: str, name: str, new: str) -> str:
    """Return `text` with `new` between the markers of `name`. Raise ValueError if they are missing."""
    found = re.search(rf"(<!-- cluster:{name} -->)(.*?)(<!-- /cluster:{name} -->)", text, re.DOTALL)
    if found is None:
        raise ValueError(f"no markers for {name!r}")
    return f"{text[: found.start(2)]}\n{new}\n{text[found.end(2) :]}"


if __name__ == "__main__":
    raise SystemExit(main())
