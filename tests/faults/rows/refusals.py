"""API keys that Studio refuses, and deleted samples."""

from __future__ import annotations

from tests.faults import effects
from tests.faults.layer import Fault
from tests.faults.row import MANY_S, SOME, VICTIM, Asked, Row, always, once

GROUP = "Keys and deleted samples"
EXPIRED = effects.refuses(401, "the key has expired")
GONE = "No sample found with this id"

ROWS = (
    Row(
        GROUP,
        "the key is refused at the start",
        "nothing starts",
        "error: GET /api/projects: HTTP 401: the key has expired",
        always(EXPIRED, "projects", None),
        (Asked("projects", 1, 1, None),),
        code=2,
    ),
    Row(
        GROUP,
        "the key expires during the run",
        "ends the run at once; labeled recordings keep their labels",
        "the run ended early: the API key was refused: … HTTP 401: the key has expired",
        lambda _: [Fault(EXPIRED, after=SOME)],
        (Asked("get-sample", 1, len(MANY_S), None),),
        code=1,
        ends=True,
        lengths_s=MANY_S,
    ),
    Row(
        GROUP,
        "the key expires between the labels of a recording and its metadata",
        "ends the run at once; the recording with labels but no metadata counts as failed",
        "the run ended early: the API key was refused: POST … HTTP 401: the key has expired",
        lambda _: [Fault(EXPIRED, ("metadata",), after=SOME)],
        code=1,
        ends=True,
        lengths_s=MANY_S,
    ),
    Row(
        GROUP,
        "the key has no access to one recording (HTTP 403)",
        "doesn't retry; the recording fails, the others are labeled",
        "3 failed: GET /api/1/raw-data/3: HTTP 403: not for you",
        always(effects.refuses(403, "not for you"), "get-sample"),
        (Asked("get-sample", 1, 1),),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "the key loses its permissions during the run (HTTP 403)",
        "ends the run after three refused recordings in a row",
        "the run ended early: 3 recordings in a row were refused with HTTP 403; check the API key's permissions",
        lambda _: [Fault(effects.refuses(403, "not for you"), ("get-sample",), since=17)],
        (Asked("get-sample", 19, len(MANY_S), None),),
        code=1,
        ends=True,
        lengths_s=MANY_S,
    ),
    Row(
        GROUP,
        "a sample is deleted before it is read",
        "the recording fails, the others are labeled",
        "3 failed: GET /api/1/raw-data/3: HTTP 404: there is no sample 3",
        once(effects.deletes_first, "get-sample"),
        (Asked("get-sample", 1, 1), Asked("wav", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a sample is deleted between its description and its audio",
        "the recording fails, the others are labeled",
        "3 recording 003.wav failed: Studio refused to send its audio: "
        "GET /api/1/raw-data/3/wav: HTTP 404: there is no sample 3",
        once(effects.deletes_first, "wav"),
        (Asked("wav", 1, 1), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a sample is deleted between reading and writing",
        "the recording fails, the others are labeled",
        "3 recording 003.wav failed: GET /api/1/raw-data/3: HTTP 404: there is no sample 3",
        once(effects.deletes_then, "wav"),
        (Asked("read-again", 1, 1), Asked("announcement", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a sample is deleted after its labels were announced",
        "the recording fails, the others are labeled",
        "3 recording 003.wav failed: POST /api/1/raw-data/3/structured-labels: HTTP 404: there is no sample 3",
        once(effects.deletes_then, "announcement"),
        (Asked("structured-labels", 1, 1), Asked("metadata", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a sample is deleted after its labels were announced, and the refusal comes with 200",
        "doesn't retry; the recording fails, the others are labeled",
        "3 recording 003.wav failed: POST /api/1/raw-data/3/structured-labels: HTTP 200: No sample found with this id",
        lambda _: [
            Fault(effects.deletes_then, ("announcement",), VICTIM, 1),
            Fault(effects.refuses(200, GONE), ("structured-labels",), VICTIM),
        ],
        (Asked("structured-labels", 1, 1), Asked("metadata", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a sample is deleted between its labels and its metadata",
        "the recording fails, the others are labeled",
        "3 recording 003.wav failed: GET /api/1/raw-data/3: HTTP 404: there is no sample 3",
        once(effects.deletes_then, "structured-labels"),
        (Asked("structured-labels", 1, 1), Asked("metadata", 0, 0)),
        code=1,
        failed=(VICTIM,),
        leaves="labels",
    ),
)
