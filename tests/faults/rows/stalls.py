"""Answers that stall while a run has other recordings to label.

The answer arrives byte by byte, and only ends once the labels of all other recordings were sent. A block that waits for
it first would give it up, and the recording would fail.
"""

from __future__ import annotations

from tests.faults import effects
from tests.faults.row import HUNDRED_S, Asked, Row, once

GROUP = "Stalls"
OTHERS = len(HUNDRED_S) - 1
HOLDS_BACK = effects.holds_back("structured-labels", OTHERS)

ROWS = (
    Row(
        GROUP,
        "the description of one of 100 recordings drips in, and ends after all other recordings are labeled",
        "sets it aside after 2 s, labels the 99 others, and then this one",
        "",
        once(HOLDS_BACK, "get-sample"),
        (Asked("wav", 1, 1),),
        lengths_s=HUNDRED_S,
    ),
    Row(
        GROUP,
        "the audio of one of 100 recordings drips in, and ends after all other recordings are labeled",
        "sets it aside after 2 s, labels the 99 others, and then this one",
        "",
        once(HOLDS_BACK, "wav"),
        (Asked("wav", 1, 1),),
        lengths_s=HUNDRED_S,
    ),
    Row(
        GROUP,
        "labels of one of 100 recordings are written, but the answer drips in and ends after all others are labeled",
        "labels the 99 others meanwhile",
        "",
        once(HOLDS_BACK, "structured-labels"),
        (Asked("structured-labels", 1, 1),),
        lengths_s=HUNDRED_S,
    ),
    Row(
        GROUP,
        "metadata of one of 100 recordings is written, but the answer drips in and ends after all others are labeled",
        "labels the 99 others meanwhile",
        "",
        once(HOLDS_BACK, "metadata"),
        (Asked("structured-labels", 1, 1),),
        lengths_s=HUNDRED_S,
    ),
    Row(
        GROUP,
        "in a preview, one of 100 proposals is saved, but the answer drips in and ends after all others are proposed",
        "proposes labels for the 99 others meanwhile",
        "",
        once(effects.holds_back("propose-changes", OTHERS), "propose-changes"),
        (Asked("propose-changes", 1, 1),),
        lengths_s=HUNDRED_S,
        job=7,
    ),
)
