"""The real checkpoint's ten published logits, in float32 and bfloat16 on the GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from bench.gpu.facts import Fact, check, require
from bench.gpu.subject import Subject
from block import audio
from block.model.checkpoint import DEFAULT, find_checkpoint
from block.model.classifier import Classifier
from block.model.features import FilterBanks
from block.model_store.store import ModelStore
from block.model_store.verify import compare, read_clip, read_subject

# bfloat16 has 8 bits: logits around 3 move by a few hundredths. The limit says only that nothing is broken.
HALF_LIMIT = 0.3


def run(subject: Subject) -> Iterator[Fact]:
    """Compare logits of the clip with the published ones. Raise if the model or the clip is another one."""
    assert subject.model is not None
    if subject.clip is None:
        raise ValueError("MODEL needs the clip of the published logits, too: CLIP=jfk.wav")
    known = read_subject(ModelStore(), subject.model)
    golden = known.golden
    if golden is None:
        raise ValueError(f"there are no published logits for {known.folder.name}; MODEL is the folder of {DEFAULT}")
    waveform = audio.decode(read_clip(known, Path(subject.clip))).waveform
    checkpoint = find_checkpoint(str(known.folder))
    banks = FilterBanks(checkpoint.front_end, subject.device)
    inputs = banks(torch.from_numpy(waveform[: checkpoint.front_end.limit_values])[None])
    for dtype in ("float32", "bfloat16"):
        logits = Classifier(checkpoint, subject.on(dtype)).logits(inputs)[0]
        found = compare([float(one) for one in logits], golden)
        limit = golden.tolerance if dtype == "float32" else HALF_LIMIT
        text = f"{len(golden.readings)} published logits, {dtype}"
        yield check(f"golden.{dtype}", f"{text}, largest difference", found.error, limit)
        expected = tuple(reading.index for reading in golden.readings[: len(found.top)])
        names = ", ".join(checkpoint.class_names[index] for index in found.top)
        if dtype == "float32":
            yield require("golden.order", f"{text}, the highest five in order", found.top == expected, names)
        else:
            yield Fact("golden.half_order", f"{text}, the highest five", names)
