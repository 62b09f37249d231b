"""The options that the fixtures were written with, and the constants that replace a machine's paths in them."""

from __future__ import annotations

MODEL = ("--model", "ast-tiny-audioset", "--device", "cpu")
LABELS = (*MODEL, "--audioset-labels", "speech\nmusic")
# Enough windows for fast mode to compute some of them on a fast path after its opening audit.
FAST = ("--mode", "fast", "--min-agreement", "0.5", "--win-size-ms", "700", "--win-stride-ms", "700")
RELABELED = ("--min-confidence", "0.78", "--other-label", "rest")
PREVIEW = 41  # the job that the AI Action proposed labels for

PLACE = "/old-state"  # the folder that `audio`, `out` and `scores` were in
ENDPOINT = "http://127.0.0.1:4810/v1"  # the local Studio's
