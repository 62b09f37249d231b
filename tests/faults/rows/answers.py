"""Answers with HTTP 200 whose content is wrong."""

from __future__ import annotations

from tests.faults import effects
from tests.faults.row import TRIES, VICTIM, Asked, Row, always, once

GROUP = "Unexpected answers"

ROWS = (
    Row(
        GROUP,
        "a web page instead of JSON, once",
        "retries after 1 s",
        "",
        once(effects.shows_a_page, "get-sample"),
        (Asked("get-sample", 2, 2),),
    ),
    Row(
        GROUP,
        "a web page instead of JSON, always",
        "tries five times; the recording fails, the others are labeled",
        "3 failed: GET /api/1/raw-data/3: HTTP 200 with a body that is not a JSON object; tried 5 times",
        always(effects.shows_a_page, "get-sample"),
        (Asked("get-sample", TRIES, TRIES), Asked("wav", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a web page instead of JSON at the start, always",
        "tries five times; nothing starts",
        "error: GET /api/projects: HTTP 200 with a body that is not a JSON object; tried 5 times",
        always(effects.shows_a_page, "projects", None),
        (Asked("projects", TRIES, TRIES, None),),
        code=2,
    ),
    Row(
        GROUP,
        "a web page instead of audio, once",
        "retries after 1 s",
        "",
        once(effects.shows_a_page, "wav"),
        (Asked("wav", 2, 2),),
    ),
    Row(
        GROUP,
        "a web page instead of audio, always",
        "tries five times; the recording fails, the others are labeled",
        "3 recording 003.wav failed: "
        "GET /api/1/raw-data/3/wav: HTTP 200 with a web page instead of audio; tried 5 times",
        always(effects.shows_a_page, "wav"),
        (Asked("wav", TRIES, TRIES), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a web page instead of the answer to a write, once",
        "writes the same again",
        "",
        once(effects.shows_a_page, "structured-labels"),
        (Asked("structured-labels", 2, 2),),
    ),
    Row(
        GROUP,
        "an empty answer instead of audio",
        "the recording fails, the others are labeled",
        "3 recording 003.wav failed: the audio can't be decoded: expected a WAV, got 0 other bytes",
        always(effects.answers(200), "wav"),
        (Asked("wav", 1, TRIES), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "success: false with 200 to a read",
        "doesn't retry; the recording fails, the others are labeled",
        "3 failed: GET /api/1/raw-data/3: HTTP 200: it is not yours",
        always(effects.refuses(200, "it is not yours"), "get-sample"),
        (Asked("get-sample", 1, 1), Asked("wav", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "success: false with 200 instead of audio",
        "doesn't retry; the recording fails, the others are labeled",
        "3 recording 003.wav failed: Studio refused to send its audio: "
        "GET /api/1/raw-data/3/wav: HTTP 200: no audio here",
        always(effects.refuses(200, "no audio here"), "wav"),
        (Asked("wav", 1, 1), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "success: false with 200 to writing labels",
        "doesn't retry; the recording stays as it was and fails, the others are labeled",
        "3 recording 003.wav failed: POST /api/1/raw-data/3/structured-labels: HTTP 200: not today",
        always(effects.refuses(200, "not today"), "structured-labels"),
        (Asked("structured-labels", 1, 1), Asked("metadata", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "success: false with 200 to writing metadata",
        "doesn't retry; the recording keeps its labels without metadata and counts as failed",
        "3 recording 003.wav failed: POST /api/1/raw-data/3/metadata: HTTP 200: not today",
        always(effects.refuses(200, "not today"), "metadata"),
        (Asked("structured-labels", 1, 1), Asked("metadata", 1, 1)),
        code=1,
        failed=(VICTIM,),
        leaves="labels",
    ),
    Row(
        GROUP,
        "success: false with 200 at the start",
        "doesn't retry; nothing starts",
        "error: GET /api/projects: HTTP 200: closed",
        always(effects.refuses(200, "closed"), "projects", None),
        (Asked("projects", 1, 1, None),),
        code=2,
    ),
)
