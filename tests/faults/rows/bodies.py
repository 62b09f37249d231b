"""Bodies that end early or take a long time."""

from __future__ import annotations

from tests.faults import effects
from tests.faults.layer import Fault
from tests.faults.row import TRIES, VICTIM, Asked, Row, always, once
from tests.faults.stage import LENGTHS_S

GROUP = "Bodies"

ROWS = (
    Row(
        GROUP,
        "a download ends before its announced length, twice",
        "retries after 1 s and 2 s",
        "",
        once(effects.cuts_short, "wav", 2),
        (Asked("wav", 3, 3),),
    ),
    Row(
        GROUP,
        "a download ends before its announced length, always",
        "tries five times; the recording fails, the others are labeled",
        "3 recording 003.wav failed: GET /api/1/raw-data/3/wav: the answer broke off after … bytes; tried 5 times",
        always(effects.cuts_short, "wav"),
        (Asked("wav", TRIES, TRIES), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a download with chunked encoding lacks its last chunk, always",
        "tries five times; the recording fails, the others are labeled",
        "3 recording 003.wav failed: GET /api/1/raw-data/3/wav: the answer broke off after … bytes; tried 5 times",
        always(effects.never_ends_its_chunks, "wav"),
        (Asked("wav", TRIES, TRIES), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a description with chunked encoding lacks its last chunk, once",
        "retries after 1 s",
        "",
        once(effects.never_ends_its_chunks, "get-sample"),
        (Asked("get-sample", 2, 2),),
    ),
    Row(
        GROUP,
        "the answer to a write ends before its announced length, once",
        "writes the same again",
        "",
        once(effects.cuts_short, "structured-labels"),
        (Asked("structured-labels", 2, 2),),
    ),
    Row(
        GROUP,
        "a small download takes 24 s",
        "waits for it",
        "",
        lambda times: [Fault(effects.drips(0.4 * times.read_s), ("wav",), VICTIM, 1)],
        (Asked("wav", 1, 1),),
        read_s=2.0,
    ),
    Row(
        GROUP,
        "a download of 192 kB takes 90 s at a steady rate",
        "waits for it: 64 KiB arrive in every 60 s",
        "",
        lambda times: [Fault(effects.drips(1.5 * times.read_s, 60), ("wav",), VICTIM, 1)],
        (Asked("wav", 1, 1),),
        lengths_s=(*LENGTHS_S[:2], 6.0, *LENGTHS_S[3:]),
        read_s=1.0,
    ),
    Row(
        GROUP,
        "a download stalls midway, once",
        "waits 60 s, then retries",
        "",
        once(effects.stalls, "wav"),
        (Asked("wav", 2, TRIES),),
        read_s=0.2,
    ),
    Row(
        GROUP,
        "a download stalls midway, always",
        "waits 60 s five times; the recording fails, the others are labeled",
        "3 recording 003.wav failed: GET /api/1/raw-data/3/wav: the answer stalled: no data for …; tried 5 times",
        always(effects.stalls, "wav"),
        (Asked("wav", TRIES, TRIES), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
        read_s=0.2,
    ),
    Row(
        GROUP,
        "a download trickles in, one byte every two seconds, always",
        "ends each of five tries after 60 s with less than 64 KiB; the recording fails, the others are labeled",
        "3 recording 003.wav failed: GET /api/1/raw-data/3/wav: the answer stalled: only … bytes in …; tried 5 times",
        lambda times: [Fault(effects.trickles(times.read_s / 30), ("wav",), VICTIM)],
        (Asked("wav", TRIES, TRIES), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
        read_s=0.2,
    ),
)
