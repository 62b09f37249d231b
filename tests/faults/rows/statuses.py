"""HTTP error statuses of busy and broken servers."""

from __future__ import annotations

from tests.faults import effects
from tests.faults.layer import Fault
from tests.faults.row import MANY_S, SOME, TRIES, VICTIM, Asked, Row, always, once

GROUP = "Busy and broken servers"
BUSY = "too many requests"


def _recovers(status: int, call: str, does: str) -> Row:
    return Row(
        GROUP,
        f"HTTP {status} to {call}, twice",
        does,
        "",
        once(effects.refuses(status, "try again"), call, 2),
        (Asked(call, 3, 3),),
    )


ROWS = (
    Row(
        GROUP,
        "HTTP 429 with a Retry-After of 3 s, once",
        "sends nothing for 3 s, then retries",
        "",
        lambda times: [Fault(effects.refuses(429, BUSY, Retry_After=str(times.asked_s)), ("wav",), VICTIM, 1)],
        (Asked("wav", 2, 2),),
    ),
    Row(
        GROUP,
        "HTTP 429 with a Retry-After that is a date, once",
        "sends nothing until then, then retries",
        "",
        lambda times: [Fault(effects.asks_to_wait_until(times.asked_s), ("structured-labels",), VICTIM, 1)],
        (Asked("structured-labels", 2, 2),),
    ),
    Row(
        GROUP,
        "HTTP 429 with a Retry-After of an hour",
        "doesn't wait (the limit is 300 s); the recording fails, the others are labeled",
        f"3 recording 003.wav failed: GET /api/1/raw-data/3/wav: HTTP 429: {BUSY}; "
        "not retried, because its Retry-After (3600) is too long",
        always(effects.refuses(429, BUSY, Retry_After="3600"), "wav"),
        (Asked("wav", 1, 1),),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "HTTP 429 without a Retry-After, three times",
        "retries after 1, 2 and 4 s, each shortened at random by up to half",
        "",
        once(effects.refuses(429, BUSY), "get-sample", 3),
        (Asked("get-sample", 4, 4),),
    ),
    Row(
        GROUP,
        "HTTP 429 with a Retry-After that is nonsense, once",
        "retries after 1 s",
        "",
        once(effects.refuses(429, BUSY, Retry_After="soon"), "metadata"),
        (Asked("metadata", 2, 2),),
    ),
    Row(
        GROUP,
        "HTTP 429 to everything from one point on",
        "recordings fail; after eight in a row, the run ends",
        "the run ended early: 8 recordings in a row were lost to the network or the server",
        lambda _: [Fault(effects.refuses(429, BUSY), after=SOME)],
        code=1,
        ends=True,
        lengths_s=MANY_S,
    ),
    _recovers(500, "get-sample", "retries after 1 s and 2 s"),
    _recovers(501, "wav", "retries after 1 s and 2 s"),
    _recovers(502, "structured-labels", "writes the same again after 1 s and 2 s"),
    _recovers(503, "metadata", "writes the same again after 1 s and 2 s"),
    _recovers(504, "wav", "retries after 1 s and 2 s"),
    Row(
        GROUP,
        "HTTP 503 at the start, twice",
        "retries after 1 s and 2 s",
        "",
        once(effects.refuses(503, "starting"), "projects", 2, None),
        (Asked("projects", 3, 3, None),),
    ),
    Row(
        GROUP,
        "HTTP 500 to writing one recording's labels, always",
        "tries five times; the recording stays as it was and fails, the others are labeled",
        "3 recording 003.wav failed: POST /api/1/raw-data/3/structured-labels: HTTP 500: out of order; tried 5 times",
        always(effects.refuses(500, "out of order"), "structured-labels"),
        (Asked("structured-labels", TRIES, TRIES), Asked("metadata", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "HTTP 500 to writing one recording's metadata, always",
        "tries five times; the recording keeps its labels without metadata and counts as failed",
        "3 recording 003.wav failed: POST /api/1/raw-data/3/metadata: HTTP 500: out of order; tried 5 times",
        always(effects.refuses(500, "out of order"), "metadata"),
        (Asked("structured-labels", 1, 1), Asked("metadata", TRIES, TRIES)),
        code=1,
        failed=(VICTIM,),
        leaves="labels",
    ),
    Row(
        GROUP,
        "in a preview, HTTP 500 to one recording's proposal, always",
        "tries five times, then proposes the recording unchanged; the others are labeled",
        "3 recording 003.wav failed: POST /api/1/raw-data/3/propose-changes: HTTP 500: out of order; tried 5 times",
        always(effects.refuses(500, "out of order"), "propose-changes"),
        (Asked("propose-changes", TRIES, 2 * TRIES),),
        code=1,
        failed=(VICTIM,),
        job=7,
    ),
    Row(
        GROUP,
        "HTTP 503 to every write from one point on",
        "recordings fail; after eight in a row, the run ends",
        "the run ended early: 8 recordings in a row were lost to the network or the server",
        lambda _: [Fault(effects.refuses(503, "out of order"), ("structured-labels", "metadata"), after=SOME)],
        code=1,
        ends=True,
        lengths_s=MANY_S,
    ),
)
