"""Answers that are too large, and descriptions that can't be those of the sample."""

from __future__ import annotations

import gzip

from tests.faults import effects
from tests.faults.layer import Effect
from tests.faults.row import VICTIM, Asked, Row, always, once

GROUP = "Answers that are too large or about another sample"
DOES = "doesn't retry; the recording fails, the others are labeled"
FOUR_GB = gzip.compress(bytes(1 << 20)) * 4096
MILLION_LISTS = b"[]," * 1_000_000
LISTS = b'{"success": true, "sample": [%b[]]}' % MILLION_LISTS
MANY_LISTS = gzip.compress(LISTS[:29]) + gzip.compress(MILLION_LISTS) * 20 + gzip.compress(b"[]]}")


def send_packed(status: int, body: bytes, **headers: str) -> Effect:
    return effects.answers(status, body, Content_Encoding="gzip", **headers)


def expect_refusal(happens: str, reports: str, effect: Effect, call: str) -> Row:
    """An answer to the first or second call about a sample that is refused."""
    return Row(
        GROUP,
        happens,
        DOES,
        reports,
        always(effect, call),
        (Asked(call, 1, 1), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
    )


def redirect(body: bytes) -> Effect:
    return send_packed(302, body, Location="/v1/api/1/raw-data/3/wav?axisIx=0")


ROWS = (
    expect_refusal(
        "a description of 60 kB that unpacks to 60 MB",
        "3 failed: GET /api/1/raw-data/3: the answer is longer than the limit of 4194304 bytes",
        send_packed(200, MANY_LISTS),
        "get-sample",
    ),
    expect_refusal(
        "a description of 3 MB with a million lists",
        "3 failed: GET /api/1/raw-data/3: the answer has about … JSON values; expected at most 262144",
        effects.answers(200, LISTS),
        "get-sample",
    ),
    expect_refusal(
        "a description of another sample",
        "3 failed: Studio's answer describes sample 4; expected 3; label it in a later run",
        effects.describes(id=4),
        "get-sample",
    ),
    expect_refusal(
        "a description that claims 10^15 values",
        "3 recording 003.wav failed: the sample should have 1000000000000000 values, which don't fit into memory: "
        "… GB are free, shared by 4 recordings at a time; free some memory or split the recording",
        effects.describes(valuesCount=10**15),
        "get-sample",
    ),
    expect_refusal(
        "a download of 4 MB that unpacks to 4 GB",
        "3 recording 003.wav failed: GET /api/1/raw-data/3/wav: the answer is longer than the limit of … bytes",
        send_packed(200, FOUR_GB),
        "wav",
    ),
    Row(
        GROUP,
        "a redirect with a body of 4 MB that unpacks to 4 GB, once",
        "follows at once, without reading the body",
        "",
        once(redirect(FOUR_GB), "wav"),
        (Asked("wav", 2, 2),),
    ),
)
