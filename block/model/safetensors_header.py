"""Read the header of a safetensors file and compare it with a config.json, before torch is imported.

The format (https://github.com/huggingface/safetensors): the length of the header in eight bytes, little-endian; the
header, JSON with the shape and the position of each tensor; the tensors' bytes.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from operator import index
from pathlib import Path
from typing import Any

from block.runtime.regular_file import open_regular

Shapes = dict[str, tuple[int, ...]]

MAX_HEADER_BYTES = 10_000_000  # the format allows ten times as much; AST's header takes 20 kB
MAX_AXES = 8
LAYER = re.compile(r"(?:encoder\.layer|layers)\.(\d+)\.")
MODEL = "audio_spectrogram_transformer"
# Defaults of transformers' ASTConfig, for keys that config.json leaves out.
DEFAULTS = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "patch_size": 16, "frequency_stride": 10, "time_stride": 10, "max_length": 1024, "num_mel_bins": 128,
}  # fmt: skip


def read_shapes(path: Path) -> Shapes:
    """Return the shape of every tensor in the file, by name. Raise OSError, or ValueError for a damaged file."""
    with open_regular(path) as file:
        size = path.stat().st_size
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, MAX_HEADER_BYTES):
                raise ValueError(f"its header claims {length} bytes, but the file has {size}")
            header = json.loads(file.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = max(entry["data_offsets"][1] for entry in tensors.values())
            shapes = {name: tuple(index(extent) for extent in entry["shape"]) for name, entry in tensors.items()}
            lengths = {
                name: index(entry["data_offsets"][1]) - entry["data_offsets"][0] for name, entry in tensors.items()
            }
        except (KeyError, TypeError, AttributeError, IndexError, RecursionError, struct.error) as error:
            raise ValueError(f"its header can't be read ({type(error).__name__})") from None
    if 8 + length + end != size:
        raise ValueError(f"it has {size} bytes; its header describes {8 + length + end}")
    for name, shape in shapes.items():
        # Every value takes at least one bit, so a tensor with more values can't be in the file.
        if len(shape) > MAX_AXES or math.prod(shape) > 8 * lengths[name]:
            raise ValueError(f"its header gives {name[:100]!r} {len(shape)} axes in {lengths[name]} bytes: impossible")
    return shapes


def find_misfit(shapes: Shapes, config: Mapping[str, Any], classes: int) -> str:
    """Return why tensors of these shapes don't match `config`, the content of config.json, or "" if they do.

    transformers would fill missing weights with random numbers, or fail seconds later without naming the file.
    """
    sizes = {}
    for key, default in DEFAULTS.items():
        size = config.get(key, default)
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            return f"{key} is {size!r}; expected a whole number above 0"
        sizes[key] = size
    wide, patch = sizes["hidden_size"], sizes["patch_size"]
    if wide % sizes["num_attention_heads"] or patch > min(sizes["num_mel_bins"], sizes["max_length"]):
        return f"the sizes there are inconsistent: {sizes}"
    rows = (sizes["num_mel_bins"] - patch) // sizes["frequency_stride"] + 1
    columns = (sizes["max_length"] - patch) // sizes["time_stride"] + 1
    expected = {
        "classifier.dense.weight": (classes, wide),
        f"{MODEL}.embeddings.position_embeddings": (1, rows * columns + 2, wide),
        f"{MODEL}.embeddings.patch_embeddings.projection.weight": (wide, 1, patch, patch),
    }
    for name, shape in expected.items():
        if name not in shapes:
            return f"{name} is missing"
        if shapes[name] != shape:
            return f"{name} is {' × '.join(map(str, shapes[name]))}; expected {' × '.join(map(str, shape))}"
    if (inner := (sizes["intermediate_size"], wide)) not in shapes.values():
        return f"no tensor is {inner[0]} × {inner[1]}; expected one of intermediate_size × hidden_size"
    layers = {int(found.group(1)) for name in shapes if (found := LAYER.search(name))}
    # The counts come first: a set of 10^9 numbers would take all memory.
    if len(layers) != sizes["num_hidden_layers"] or layers != set(range(len(layers))):
        return f"the number of layers is {len(layers)}; expected {sizes['num_hidden_layers']}"
    return ""
