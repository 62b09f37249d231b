"""Other jobs and people that write a sample while the block labels it."""

from __future__ import annotations

from block.edge_impulse.label_owner import ANNOUNCED, fingerprint
from block.labeling.job import LABELED_BY
from tests.faults import effects
from tests.faults.row import VICTIM, Asked, Row, once

GROUP = "Other jobs and people"
LABELS = [{"startIndex": 0, "endIndex": 12799, "label": "dog"}]
THEIRS = {"structuredLabels": LABELS}
DIGEST = fingerprint(LABELS)
# Ids of runs begin with the date, so this run started later than any other.
DONE = {"labeled_by": LABELED_BY, "ast_job": "0123", "ast_segments": DIGEST, ANNOUNCED + DIGEST: "9999 done"}

ROWS = (
    Row(
        GROUP,
        "a person marks a sample as labeled by hand between reading and writing",
        "leaves the sample as it is, the others are labeled",
        "3 skipped: its labels were set or changed by hand; to replace them, use --overwrite-hand-labels",
        once(
            effects.someone_writes_then(structured_labels=THEIRS, metadata={"metadata": {"labeled_by": "human"}}), "wav"
        ),
        (Asked("announcement", 0, 0), Asked("structured-labels", 0, 0)),
        keeps=(VICTIM,),
    ),
    Row(
        GROUP,
        "a person changes the labels right after they were written",
        "reads the sample again, and keeps that person's labels; the others are labeled",
        "3 skipped: its labels were set or changed by hand; to replace them, use --overwrite-hand-labels",
        once(effects.someone_writes_then(structured_labels=THEIRS), "metadata"),
        (Asked("structured-labels", 1, 1), Asked("metadata", 1, 1)),
        keeps=(VICTIM,),
    ),
    Row(
        GROUP,
        "another job, which started earlier, writes its labels over this one's",
        "writes its own labels again, and labels everything",
        "",
        once(
            effects.someone_writes_then(structured_labels=THEIRS, metadata={"metadata": {ANNOUNCED + DIGEST: "1"}}),
            "structured-labels",
        ),
        (Asked("structured-labels", 2, 2), Asked("metadata", 1, 1)),
    ),
    Row(
        GROUP,
        "another job, which started later, labels the sample at the same time",
        "leaves the sample to that job; the recording fails, the others are labeled",
        "3 recording 003.wav failed: another job is labeling this sample; …",
        once(effects.someone_writes_then(structured_labels=THEIRS, metadata={"metadata": DONE}), "structured-labels"),
        (Asked("structured-labels", 1, 1), Asked("metadata", 0, 0)),
        code=1,
        failed=(VICTIM,),
        keeps=(VICTIM,),
    ),
)
