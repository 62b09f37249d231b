"""Read the header of a safetensors file and compare it with a config.json, before torch is imported.

The format (https://github.com/huggingface/safetensors): the length of the header in eight bytes, little-endian; the
header, JSON with the shape and the position of each tensor; the tensors' bytes.
"""

from __future__ import annotations

import math
import os
import re
import struct
from pathlib import Path
from typing import Any

from block.model.model_config import ModelConfig
from block.runtime.json_text import describe_value, parse_object
from block.runtime.regular_file import open_regular

Shapes = dict[str, tuple[int, ...]]

MAX_HEADER_BYTES = 1 << 20  # the format allows a hundred times as much; AST's header takes 20 kB
MAX_AXES, MAX_NAME = 8, 200
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # of the types that weights may have
MAX_MISSING = 1 << 20  # values; transformers names missing tensors, after making up values for them
LAYER = re.compile(r"(?:encoder\.layer|layers)\.([0-9]{1,6})\.")
MODEL = "audio_spectrogram_transformer"


def read_shapes(path: Path) -> Shapes:
    """Return the shape of every tensor in the file, by name. Raise OSError, or ValueError for a damaged file.

    As in the format, tensors follow each other without gaps and fill the file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        if len(start) < 8:
            raise ValueError(f"it has {size} bytes; expected a header")
        (length,) = struct.unpack("<Q", start)
        if length > size - 8:
            raise ValueError(f"its header claims {length} bytes, but the file has {size}")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"its header has {length} bytes; expected at most {MAX_HEADER_BYTES}")
        try:
            header = parse_object(file.read(length))
        except ValueError as error:
            raise ValueError(f"its header can't be read: {error}") from None
    metadata = header.pop("__metadata__", {})  # text about the file, which has no effect
    if not isinstance(metadata, dict) or not all(isinstance(one, str) for one in metadata.values()):
        raise ValueError(f"its header has the metadata {describe_value(metadata)}; expected text by name")
    for name in header:
        if len(name) > MAX_NAME or not (name.isascii() and name.isprintable()):
            raise ValueError(f"its header has the name {describe_value(name)}; expected at most {MAX_NAME} letters")
    spans = {name: _read_span(describe_value(name), entry) for name, entry in header.items()}
    end = 0
    for name, (first, last) in sorted(spans.items(), key=lambda item: item[1]):
        if first != end:
            raise ValueError(f"its header puts {describe_value(name)} at byte {first}; expected byte {end}")
        end = last
    if 8 + length + end != size or not spans:
        raise ValueError(f"it has {size} bytes; its header describes {8 + length + end}")
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


def _read_span(name: str, entry: Any) -> tuple[int, int]:
    """Return the first byte of a tensor and the one after its last. Raise ValueError unless its values fill them."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"its header gives {name} as {describe_value(entry)}; expected dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise ValueError(f"its header gives {name} the type {describe_value(dtype)}; expected {', '.join(ITEM_BYTES)}")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        found = f"the shape {describe_value(shape)} and the offsets {describe_value(offsets)}"
        raise ValueError(f"its header gives {name} {found}; expected whole numbers of 0 or more")
    first, last = offsets
    if len(shape) > MAX_AXES or math.prod(shape) * ITEM_BYTES[dtype] != last - first:
        text = f"{len(shape)} axes" if len(shape) > MAX_AXES else " × ".join(map(str, shape))
        raise ValueError(f"its header gives {name} {text} in {last - first} bytes of {dtype}: impossible")
    return first, last


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(one) is int and 0 <= one < 1 << 63 for one in values)


def find_misfit(shapes: Shapes, config: ModelConfig, classes: int) -> str:
    """Return why tensors of these shapes don't match `config` and the number of classes, or "" if they do.

    transformers would fill missing weights with random numbers, or fail seconds later without naming the file.
    """
    wide, patch = config.hidden_size, config.patch_size
    expected = {
        "classifier.dense.weight": (classes, wide),
        f"{MODEL}.embeddings.position_embeddings": (1, config.tokens, wide),
        f"{MODEL}.embeddings.patch_embeddings.projection.weight": (wide, 1, patch, patch),
    }
    for name, shape in expected.items():
        if name not in shapes:
            return f"{name} is missing"
        if shapes[name] != shape:
            return f"{name} is {' × '.join(map(str, shapes[name]))}; expected {' × '.join(map(str, shape))}"
    if (inner := (config.intermediate_size, wide)) not in shapes.values():
        return f"no tensor is {inner[0]} × {inner[1]}; expected one of intermediate_size × hidden_size"
    layers = {int(found.group(1)) for name in shapes if (found := LAYER.search(name))}
    # The counts come first: a set of 10^9 numbers would take all memory.
    if len(layers) != config.num_hidden_layers or layers != set(range(len(layers))):
        return f"the number of layers is {len(layers)}; expected {config.num_hidden_layers}"
    values, wanted = sum(map(math.prod, shapes.values())), config.count_values(classes)
    if wanted - values > MAX_MISSING:
        return f"it has {values} values; expected {wanted}"
    return ""
