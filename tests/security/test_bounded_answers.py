"""No answer of Studio takes too much memory: it costs at most one recording, even in a process limited to 1 GiB."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass

import pytest

from tests.conftest import EMBEDDED
from tests.security.hostile import KEY, Reply, run_python, sample, studio

FIRST = 11  # the sample that the first case is about; the next case is about the next one
GOOD = (1, 2, 3, 91, 92, 93)
# Uses a stub instead of the model, which needs more memory.
RUN_LIMITED = """
import resource, sys
from tests.stub import engine

sys.modules["block.labeling.engine"] = engine
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
from block import cli
cli.main()
"""
PACKED = {"Content-Encoding": "gzip"}
FOUR_GB = gzip.compress(bytes(1 << 20)) * 4096  # 4 MB as it is sent
MILLION_LISTS = b"[]," * 1_000_000  # 64 MB as Python objects
LISTS = b'{"success": true, "sample": [%b[]]}' % MILLION_LISTS
MANY_LISTS = gzip.compress(LISTS[:29]) + gzip.compress(MILLION_LISTS) * 20 + gzip.compress(b"[]]}")
BIG = Reply(body={"sample": sample(valuesCount=1 << 27)})


@dataclass(frozen=True)
class Case:
    """What Studio answers about a sample, and why the sample then fails (a pattern; None: it is labeled)."""

    problem: str | None
    description: Reply | None = None
    audio: Reply | None = None


TOO_LONG = "the answer is longer than the limit of"
CASES = {
    "a description that unpacks to 60 MB of lists": Case(
        f"{TOO_LONG} 4194304 bytes", Reply(body=MANY_LISTS, headers=PACKED)
    ),
    "a description of a million lists": Case(
        r"the answer has about 20\d{5} JSON values; expected at most 262144", Reply(body=LISTS)
    ),
    "a description of another sample": Case(
        "Studio's answer describes sample 9; expected", Reply(body={"sample": sample(id=9)})
    ),
    "a redirect with 4 GB": Case(None, Reply(302, FOUR_GB, {"Location": "/v1/moved", **PACKED})),
    "audio that unpacks to 4 GB": Case(
        f"{TOO_LONG} 1432576 bytes", audio=Reply(body=FOUR_GB, headers=PACKED)
    ),
    "audio that unpacks to 4 GB, of a sample that claims 134 million values": Case(
        rf"{TOO_LONG} \d{{8,9}} bytes", BIG, Reply(body=FOUR_GB, headers=PACKED)
    ),
    "a sample that claims 10^15 values": Case(
        r"the sample should have 1000000000000000 values, which don't fit into memory: [01]\.\d GB are free",
        Reply(body={"sample": sample(valuesCount=10**15)}), Reply(body=FOUR_GB, headers=PACKED),
    ),
    "a refusal that unpacks to 60 MB of lists": Case(
        "Studio refused to send its audio: .*HTTP 400: no reason given", BIG, Reply(400, MANY_LISTS, PACKED)
    ),
    "60 MB of lists instead of audio": Case(
        r"the answer has 600\d{5} bytes of JSON; expected at most 4194304", BIG, Reply(body=MANY_LISTS, headers=PACKED)
    ),
}  # fmt: skip
IDS = {name: FIRST + index for index, name in enumerate(CASES)}


@dataclass(frozen=True)
class Outcome:
    """The ids of the samples whose labels were written, the exit code, and the output."""

    labeled: set[int]
    code: int
    output: str


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Label good samples and those of all cases in one process, limited to 1 GiB."""
    cases = {IDS[name]: case for name, case in CASES.items()}

    def answer(method: str, path: str) -> Reply | None:
        found = re.search(r"/raw-data/(\d+)(/wav)?\?", path)
        case = cases.get(int(found[1])) if found else None
        if found is None or case is None:
            return None
        return case.audio if found[2] else case.description

    folder = tmp_path_factory.mktemp("bounded")
    ids = folder / "ids.json"
    ids.write_text(json.dumps([*GOOD[:3], *cases, *GOOD[3:]]))
    with studio(answer) as server:
        done = run_python(
            ["-c", RUN_LIMITED, "--data-ids-file", ids, "--model", EMBEDDED, "--device", "cpu",
             "--audioset-labels", "Speech"],
            folder, EI_PROJECT_API_KEY=KEY, EI_API_ENDPOINT=server.url,
        )  # fmt: skip
    labeled = {int(found[1]) for _, path, _, _ in server.asked if (found := re.search(r"/(\d+)/metadata", path))}
    return Outcome(labeled, done.returncode, done.stdout + done.stderr)


@pytest.mark.parametrize("name", CASES)
def test_an_answer_that_is_too_large_costs_at_most_one_recording(name: str, outcome: Outcome) -> None:
    problem = CASES[name].problem
    assert (IDS[name] in outcome.labeled) == (problem is None), outcome.output
    if problem is not None:
        assert re.search(rf"^{IDS[name]}\b.* failed: .*{problem}", outcome.output, re.MULTILINE), outcome.output


def test_all_other_recordings_are_labeled_within_the_same_memory(outcome: Outcome) -> None:
    assert set(GOOD) <= outcome.labeled, outcome.output
    assert outcome.code == 1, outcome.output
    assert "early" not in outcome.output
