"""Run the same model in ONNX Runtime and OpenVINO, if they are installed: features in, logits out, float32."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from block.model.classifier import Logits
from block.model.openvino_encoder import get_core

NEEDS = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
INPUT, OUTPUT = "inputs", "logits"
OPSET = 18
Forward = Callable[[Any], Logits]


def find_missing(kind: str) -> tuple[str, ...]:
    """Return the packages that a contender needs and that aren't installed; empty if it can run."""
    return tuple(name for name in NEEDS.get(kind, ()) if importlib.util.find_spec(name) is None)


def export(model: Any, path: Path, frames: int, mel_bins: int) -> None:
    """Write transformers' `model`, an `ASTForAudioClassification` in float32 on a CPU, as an ONNX file."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return cast(torch.Tensor, self.model(input_values=inputs).logits)

    with torch.inference_mode(), warnings.catch_warnings():
        # The tracing exporter is deprecated, but needs no other package and half the time.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Logits().eval(), (torch.zeros(2, frames, mel_bins),), str(path), input_names=[INPUT],
            output_names=[OUTPUT], dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}, dynamo=False,
            opset_version=OPSET,
        )  # fmt: skip


def onnxruntime_forward(path: Path, threads: int) -> Forward:
    """Return the exported model as a function, in ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: cast(Logits, session.run([OUTPUT], {INPUT: inputs.numpy()})[0])


def openvino_forward(path: Path, threads: int) -> Forward:
    """Return the exported model as a function, in OpenVINO on the CPU."""
    core = get_core()
    # Ask for float32: on some CPUs, the default is bfloat16.
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(str(path)), "CPU", options)
    return lambda inputs: cast(Logits, compiled([inputs.numpy()])[0])


FORWARDS: dict[str, Callable[[Path, int], Forward]] = {
    "onnxruntime": onnxruntime_forward,
    "openvino": openvino_forward,
}
