"""Redirects, to the same host and to another one."""

from __future__ import annotations

from tests.faults import effects
from tests.faults.row import VICTIM, Asked, Row, always, once

GROUP = "Redirects"
ANOTHER_HOST = "redirected to another host, '127.0.0.2'; not followed, to protect the key"

ROWS = (
    Row(
        GROUP,
        "a read is redirected within the same scheme, host and port",
        "follows, with the key",
        "",
        once(effects.redirects(302, effects.same_address), "wav"),
        (Asked("wav", 2, 2),),
    ),
    Row(
        GROUP,
        "a write is redirected within the same host by HTTP 307",
        "follows, with the key and the body",
        "",
        once(effects.redirects(307, effects.same_address), "structured-labels"),
        (Asked("structured-labels", 2, 2),),
    ),
    Row(
        GROUP,
        "a write is redirected by HTTP 302, which drops what is written",
        "doesn't follow; the recording stays as it was and fails, the others are labeled",
        "3 recording 003.wav failed: POST /api/1/raw-data/3/structured-labels: "
        "redirected with HTTP 302, which would drop the data; not followed",
        always(effects.redirects(302, effects.same_address), "structured-labels"),
        (Asked("structured-labels", 1, 1),),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "redirects in a loop",
        "follows five redirects; the recording fails, the others are labeled",
        "3 recording 003.wav failed: GET /api/1/raw-data/3/wav: redirected more than 5 times",
        always(effects.redirects(302, effects.same_address), "wav"),
        (Asked("wav", 5, 5), Asked("structured-labels", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a read is redirected to an address that contains the key",
        "doesn't follow; the recording fails, the others are labeled",
        "3 recording 003.wav failed: GET /api/1/raw-data/3/wav: "
        "redirected to an address that contains the API key; not followed",
        always(effects.redirects(302, effects.same_address_with_key), "wav"),
        (Asked("wav", 1, 1),),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a read is redirected to another host",
        "sends nothing there; the recording fails, the others are labeled",
        f"3 recording 003.wav failed: GET /api/1/raw-data/3/wav: {ANOTHER_HOST}",
        always(effects.redirects(302, effects.another_host), "wav"),
        (Asked("wav", 1, 1),),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "a write is redirected to another host",
        "sends nothing there; the recording stays as it was and fails, the others are labeled",
        f"3 recording 003.wav failed: POST /api/1/raw-data/3/structured-labels: {ANOTHER_HOST}",
        always(effects.redirects(307, effects.another_host), "structured-labels"),
        (Asked("structured-labels", 1, 1), Asked("metadata", 0, 0)),
        code=1,
        failed=(VICTIM,),
    ),
    Row(
        GROUP,
        "everything is redirected to another host from the start",
        "sends nothing there; nothing starts",
        f"error: GET /api/projects: {ANOTHER_HOST}",
        always(effects.redirects(301, effects.another_host), "projects", None),
        (Asked("projects", 1, 1, None),),
        code=2,
    ),
)
