"""The layers of the Audio Spectrogram Transformer in OpenVINO, an optional package, on a CPU.

The graph is that of `Encoder`, built from the weights of transformers' model. OpenVINO fuses a layer's norm, products,
softmax and activation into few kernels.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from block.model.encoder import SPECIAL
from block.model.linear import round_weight
from block.settings import SettingsError

# Inputs of a product that share a scale, at most: the fastest size of those that were measured, 32 to 768.
SHARED_SCALE = 192
SHARED_STEP = 32
Node = Any
_creating = threading.Lock()  # a cache alone would let two threads create one each


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, and return it. Raise ImportError if it isn't installed."""
    sys.modules.setdefault("openvino_telemetry", cast(Any, None))  # OpenVINO works without it
    import openvino

    return cast(ModuleType, openvino)


def get_core() -> Any:
    """Return the process's only Core, which compiles graphs.

    A Core replaces the signal stack of the thread that creates it, and restores the previous one when it is deleted.
    With two Cores, that may restore the stack of a deleted one, and the next signal then kills the process.
    """
    with _creating:
        return _create_core()


@functools.cache
def _create_core() -> Any:
    return import_openvino().Core()


class OpenVinoEncoder:
    """The layers of `model`, an `ASTForAudioClassification` in float32, as a function of tokens: an `Encode`.

    With `int8`, the linear layers compute in 8-bit integers, as in `Encoder` with `Int8Linear`: one scale for each
    output of a layer, and for each token one scale for every `SHARED_SCALE` inputs, or fewer. Where the CPU lacks
    instructions for that, OpenVINO computes in float32, as it does if `find_group_size` finds no size. Raise
    SettingsError for an activation other than GELU, or if OpenVINO can't compile the layers.
    """

    def __init__(self, model: Any, int8: bool = False) -> None:
        config, layers = model.config, model.audio_spectrogram_transformer.layers
        if config.hidden_act != "gelu":
            raise SettingsError(f"--backend openvino needs hidden_act gelu, but config.json has {config.hidden_act}")
        options = {
            # Float32, also on CPUs where OpenVINO's default is bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
            # All threads compute one batch, on machines with two sockets, too.
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Other processes, such as more workers on this machine, would be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": find_group_size(config.hidden_size) if int8 else 0,
        }  # fmt: skip
        try:
            openvino = import_openvino()
            graph = _Graph(openvino.opset13, config.num_attention_heads, config.hidden_size)
            network = openvino.Model([graph.encode(layers, int8)], graph.parameters, "encoder")
            self._request = get_core().compile_model(network, "CPU", options).create_infer_request()
        except Exception as error:  # OpenVINO can raise anything, for example without memory
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise SettingsError(f"OpenVINO can't compile the model: {reason}; try --backend torch") from error
        self._computing = threading.Lock()

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Return the special tokens after the last layer. Shapes as for `Encoder.__call__`."""
        bias = torch.zeros(x.shape[1]) if bias is None else bias
        with self._computing:  # a request computes one batch at a time, and that takes all threads
            found = self._request.infer([x.contiguous().numpy(), bias.view(1, 1, 1, -1).numpy()], share_inputs=True)
            return torch.from_numpy(found[0].copy())


def find_group_size(width: int) -> int:
    """Return how many inputs share a scale: the largest divisor of `width` up to `SHARED_SCALE` that OpenVINO takes."""
    sizes = range(SHARED_SCALE, 0, -SHARED_STEP)
    return next((size for size in sizes if width % size == 0), 0)


class _Graph:
    """Nodes of OpenVINO's operators. `encode` builds the layers from the tokens and their bias, its `parameters`."""

    def __init__(self, operators: ModuleType, heads: int, hidden: int) -> None:
        self._of = operators
        self._heads, self._width = heads, hidden // heads
        self._tokens = operators.parameter([-1, -1, hidden], np.float32)
        self._bias = operators.parameter([1, 1, 1, -1], np.float32)
        self.parameters = [self._tokens, self._bias]

    def encode(self, layers: Sequence[Any], int8: bool) -> Node:
        """Return the special tokens after the last layer. With `int8`, it computes only keys and values in 8 bits."""
        x = self._tokens
        for layer in layers:
            is_last = layer is layers[-1]
            attention, y = layer.attention, self._normalize(x, layer.layernorm_before)
            k, v = (self._split_heads(self._multiply(y, part, int8)) for part in (attention.k_proj, attention.v_proj))
            if is_last:
                x, y, int8 = self._take_special(x), self._take_special(y), False
            q = self._split_heads(self._multiply(y, attention.q_proj, int8))
            x = self._of.add(x, self._multiply(self._attend(q, k, v), attention.o_proj, int8))
            y = self._multiply(self._normalize(x, layer.layernorm_after), layer.mlp.fc1, int8)
            x = self._of.add(x, self._multiply(self._of.gelu(y, "erf"), layer.mlp.fc2, int8))
        return x

    def _normalize(self, x: Node, norm: torch.nn.LayerNorm) -> Node:
        centered = self._of.mvn(x, np.array([-1]), True, norm.eps, "inside_sqrt")
        return self._of.add(self._of.multiply(centered, _to_array(norm.weight)), _to_array(norm.bias))

    def _multiply(self, x: Node, linear: torch.nn.Linear, int8: bool) -> Node:
        weight: Any = _to_array(linear.weight)
        if int8:
            whole, scale = (_to_array(part) for part in round_weight(linear.weight.detach()))
            weight = self._of.multiply(self._of.convert(self._of.constant(whole), np.float32), scale[:, None])
        y = self._of.matmul(x, weight, False, True)
        return y if linear.bias is None else self._of.add(y, _to_array(linear.bias))

    def _split_heads(self, x: Node) -> Node:
        return self._of.transpose(self._of.reshape(x, [0, 0, self._heads, self._width], True), [0, 2, 1, 3])

    def _attend(self, q: Node, k: Node, v: Node) -> Node:
        scores = self._of.multiply(self._of.matmul(q, k, False, True), np.float32(self._width**-0.5))
        shares = self._of.softmax(self._of.add(scores, self._bias), -1)
        attended = self._of.transpose(self._of.matmul(shares, v, False, False), [0, 2, 1, 3])
        return self._of.reshape(attended, [0, 0, self._heads * self._width], True)

    def _take_special(self, x: Node) -> Node:
        return self._of.slice(x, [0], [SPECIAL], [1], [1])


def _to_array(weight: Tensor) -> Any:
    return weight.detach().contiguous().numpy()
