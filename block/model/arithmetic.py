"""What logits depend on besides the weights: settings in config.json, and the version of the block's own arithmetic."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

# Raise this when the same audio, weights and settings give other logits: in any mode, by more than rounding.
# A test compares with recorded logits. Stored scores and labels of another version are computed again.
SCORES_VERSION = "0.1.0"
# Block 0.1.0 didn't record a scores version.
FIRST_SCORES_VERSION = "0.1.0"
# The settings in config.json that move logits, with transformers' defaults. The weights' shapes determine the others.
MOVES_LOGITS = {
    "num_attention_heads": 12, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "frequency_stride": 10, "time_stride": 10,
}  # fmt: skip
HEAD_WIDTH = 64
MAX_TEXT = 500  # characters


def describe_config(config: Mapping[str, Any], is_usual_size: bool) -> str:
    """Return the settings in config.json that move logits, as JSON; empty if they are those of the published ASTs.

    These have heads that are 64 wide, exact GELU, an epsilon of 1e-12, and patches every 10 or every 16 bins and
    frames. `is_usual_size` says that the input has 128 × 1024 values; then the number of position embeddings tells the
    strides apart. So two configs that fit the same weights have the same text only if they give the same logits.
    """
    given = {name: config.get(name, default) for name, default in MOVES_LOGITS.items()}
    width = config.get("hidden_size", 768)
    usual = {**MOVES_LOGITS, "num_attention_heads": Fraction(width, HEAD_WIDTH) if isinstance(width, int) else None}
    if is_usual_size and (given["frequency_stride"], given["time_stride"]) == (16, 16):
        usual["frequency_stride"] = usual["time_stride"] = 16
    return dump_changes(given, usual)


def dump_changes(given: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Return what differs from `usual` as JSON, or as its SHA-256 if that's long; empty if nothing does."""
    changed = {name: value for name, value in given.items() if name not in usual or value != usual[name]}
    text = json.dumps(changed, sort_keys=True) if changed else ""
    return text if len(text) <= MAX_TEXT else f"sha256 {hashlib.sha256(text.encode()).hexdigest()}"
