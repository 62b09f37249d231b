"""How much each step measures, and how long it may take: on a GPU, and in the dry form on a CPU."""

from __future__ import annotations

from dataclasses import dataclass, field

INPUTS, OUTPUTS, ROWS = 768, 3072, 1214  # of the full-size model's widest linear layer, for one window

# Seconds: what a step plans with, on a GPU. A step that takes `patience` times as long is stopped, and so is everything
# after `limit_s`, which is less than eight minutes.
BUDGETS_S = {
    "device": 10, "features": 15, "exact": 60, "golden": 25, "memory": 45, "forward": 45, "end to end": 75,
    "pipeline": 50, "fast": 45, "kernels": 25, "compile": 60,
}  # fmt: skip
STEPS = tuple(BUDGETS_S)
START_S = 75.0  # for a worker to import torch and transformers and reach its first step


@dataclass(frozen=True)
class Sizes:
    """The sizes of one form of the proof.

    `forward_s`, `pipeline_s` and `end_to_end_s` are the seconds for one figure of each kind. `cpu_windows` windows are
    computed on the CPU for comparison, of the embedded model and of the large one; `half_windows` on the GPU only, to
    compare 16 bits with 32. `lengths_ms` are window lengths, `matrices` the shapes of products to time, `recordings_s`
    the lengths of generated recordings.
    """

    lengths_ms: tuple[int, ...]
    cpu_windows: tuple[int, int]
    half_windows: int
    forward_batches: tuple[int, ...]
    pipeline_batches: tuple[int, ...]
    forward_s: float
    pipeline_s: float
    end_to_end_s: float
    most_windows: int
    pass_windows: int
    oom_windows: int
    fast_windows: int
    matrices: tuple[tuple[int, int, int], ...]
    patience: float = 1.6
    limit_s: float = 450.0
    recordings_s: tuple[int, ...] = (5, 8, 13, 21, 34, 60)
    large_model: dict[str, int] = field(default_factory=dict)


FULL = Sizes(
    lengths_ms=(1000, 2000, 10000), cpu_windows=(256, 8), half_windows=20000,
    forward_batches=(64, 256, 512), pipeline_batches=(1, 8, 32, 64, 128), forward_s=2.0, pipeline_s=4.0,
    end_to_end_s=10.0, most_windows=60000, pass_windows=100000, oom_windows=2048, fast_windows=8000,
    matrices=((8192, 8192, 8192), (64 * ROWS, INPUTS, OUTPUTS)),
)  # fmt: skip
# The same steps with a model of two layers, and a handful of windows.
DRY = Sizes(
    lengths_ms=(1000, 2000), cpu_windows=(4, 2), half_windows=12,
    forward_batches=(1, 2), pipeline_batches=(1, 2), forward_s=0.02, pipeline_s=0.02,
    end_to_end_s=0.1, most_windows=12, pass_windows=4, oom_windows=8, fast_windows=45,
    matrices=((64, 64, 64),), patience=30, limit_s=3600.0,
    recordings_s=(3, 5),
    large_model={
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 128,
        "frequency_stride": 16, "time_stride": 16,
    },
)  # fmt: skip
