"""With which options the fixtures were written, and what stands in them for what differs between machines."""

from __future__ import annotations

MODEL = ("--model", "ast-tiny-audioset", "--device", "cpu")
LABELS = (*MODEL, "--audioset-labels", "speech\nmusic")
# Windows enough that fast mode, after its opening audit, judges some of them the fast way.
FAST = ("--mode", "fast", "--min-agreement", "0.5", "--win-size-ms", "700", "--win-stride-ms", "700")
RELABELED = ("--min-confidence", "0.78", "--other-label", "rest")
PREVIEW = 41  # the job that the AI Action proposed labels for

PLACE = "/old-state"  # the folder that `audio`, `out` and `scores` were in
ENDPOINT = "http://127.0.0.1:4810/v1"  # the local Studio's
