"""Answers that never end although bytes keep arriving, and answers that leave open where they end."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults import effects
from tests.faults.layer import Fault
from tests.faults.row import TRIES, VICTIM, Asked, Row, Times, always, once
from tests.runtime.dripping import DRIPS, Drip

GROUP = "Answers without end"
DOES = "ends each of five tries after 70 s; the recording fails, the others are labeled"
WAV = "3 recording 003.wav failed: GET /api/1/raw-data/3/wav: "
LATE = "no complete answer within …; tried 5 times"
PAUSED = "3 recording 003.wav failed: …; tried 5 times"  # if the server doesn't send in time on a busy machine
LOCATION = b"Location: /v1/api/1/raw-data/3/wav?axisIx=0\r\n"
REDIRECT = Drip(b"HTTP/1.1 302 Found\r\n%bContent-Length: 999999\r\n\r\n" % LOCATION, b"x")


def dripping(drip: Drip, call: str, sample: int | None = VICTIM) -> Callable[[Times], list[Fault]]:
    """Drip an answer, one byte every two seconds (in tests, more often) and without end."""
    return lambda times: [Fault(effects.drips_forever(drip, times.read_s / 30), (call,), sample)]


def stalled_download(happens: str, drip: Drip, does: str = DOES, reports: str = LATE) -> Row:
    """A download that never ends. The recording fails after five tries."""
    return Row(
        GROUP,
        happens,
        does,
        WAV + reports,
        dripping(drip, "wav"),
        (Asked("wav", TRIES, TRIES), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
        read_s=0.5,
        or_reports=PAUSED,
    )


ROWS = (
    stalled_download("a status line without end, one byte every two seconds", DRIPS["status line"]),
    stalled_download("a header without end, one byte every two seconds", DRIPS["header"]),
    stalled_download("HTTP 100 answers without end, one byte every two seconds", DRIPS["1xx answers"]),
    stalled_download("the size of a chunk without end, one byte every two seconds", DRIPS["chunk size"]),
    stalled_download("trailers after the last chunk without end, one byte every two seconds", DRIPS["chunk trailers"]),
    stalled_download(
        "gzip that unpacks to nothing, without end, one byte every two seconds",
        DRIPS["gzip that yields nothing"],
        "ends each of five tries after 60 s with less than 64 KiB; the recording fails, the others are labeled",
        "the answer stalled: only … bytes in …; tried 5 times",
    ),
    stalled_download(
        "deflate that unpacks to nothing, without end, one byte every two seconds",
        DRIPS["deflate that yields nothing"],
        "ends each of five tries after 60 s with less than 64 KiB; the recording fails, the others are labeled",
        "the answer stalled: only … bytes in …; tried 5 times",
    ),
    Row(
        GROUP,
        "a write is answered with a header without end, one byte every two seconds",
        "ends each of five tries after 70 s; the recording stays as it was and fails, the others are labeled",
        f"3 recording 003.wav failed: POST /api/1/raw-data/3/structured-labels: {LATE}",
        dripping(DRIPS["header"], "structured-labels"),
        (Asked("structured-labels", TRIES, TRIES), Asked("metadata", 0, 0)),
        code=1,
        failed=(VICTIM,),
        read_s=0.5,
        or_reports=PAUSED,
    ),
    Row(
        GROUP,
        "a header without end from the start, one byte every two seconds",
        "ends each of five tries after 70 s; nothing starts",
        f"error: GET /api/projects: {LATE}",
        dripping(DRIPS["header"], "projects", None),
        (Asked("projects", TRIES, TRIES, None),),
        code=2,
        read_s=0.5,
        or_reports="error: GET /api/projects: …; tried 5 times",
    ),
    Row(
        GROUP,
        "a redirect with a body without end, once",
        "follows at once, without reading the body",
        "",
        lambda times: [Fault(effects.drips_forever(REDIRECT, times.read_s / 30), ("wav",), VICTIM, 1)],
        (Asked("wav", 2, 2),),
    ),
    Row(
        GROUP,
        "two different Content-Lengths, once",
        "retries after 1 s",
        "",
        once(effects.gives_two_lengths, "get-sample"),
        (Asked("get-sample", 2, 2),),
    ),
    Row(
        GROUP,
        "two different Content-Lengths, always",
        "tries five times; the recording fails, the others are labeled",
        "3 failed: GET /api/1/raw-data/3: the answer has two different Content-Lengths; tried 5 times",
        always(effects.gives_two_lengths, "get-sample"),
        (Asked("get-sample", TRIES, TRIES), Asked("wav", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "HTTP 103 before the answer, once",
        "closes the connection, so that the answer isn't taken for that of another call, and retries after 1 s",
        "",
        once(effects.hints_first, "get-sample"),
        (Asked("get-sample", 2, 2),),
    ),
)
