"""Read what config.json says about the model, and check it before torch is imported.

transformers gets these settings and nothing else: other keys of config.json can name files with other weights, code,
or kernels, none of which a checkpoint of this block may bring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from block.runtime.json_text import describe_value

MODEL_TYPE = "audio-spectrogram-transformer"
MAX_SIZE = 1 << 20  # of each setting that is a size
# AST has 1,214 tokens; attention takes quadratic time in them.
MAX_TOKENS = 1 << 15
MAX_NAME = 500  # characters; the longest class of AudioSet has 67
ACTIVATIONS = (
    "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python", "gelu_python_tanh",
    "gelu_pytorch_tanh", "hardswish", "laplace", "leaky_relu", "linear", "mish", "quick_gelu", "relu", "relu2", "relu6",
    "sigmoid", "silu", "swish", "tanh",
)  # fmt: skip


@dataclass(frozen=True)
class ModelConfig:
    """The settings of transformers' `ASTConfig` that matter outside training, with its defaults."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    patch_size: int = 16
    frequency_stride: int = 10
    time_stride: int = 10
    max_length: int = 1024
    num_mel_bins: int = 128
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    qkv_bias: bool = True

    @property
    def tokens(self) -> int:
        """Return the number of tokens of an input: its patches and two special ones."""
        rows = (self.num_mel_bins - self.patch_size) // self.frequency_stride + 1
        columns = (self.max_length - self.patch_size) // self.time_stride + 1
        return rows * columns + 2

    def count_values(self, classes: int) -> int:
        """Return the number of values in the weights of such a model with so many classes."""
        wide, inner = self.hidden_size, self.intermediate_size
        embeddings = wide * (2 + self.tokens + self.patch_size**2 + 1)
        attention = 4 * wide * wide + wide * (4 if self.qkv_bias else 1)
        layer = attention + 2 * wide * inner + inner + wide + 2 * 2 * wide
        return embeddings + self.num_hidden_layers * layer + 2 * 2 * wide + classes * (wide + 1)


def read_model_config(content: Mapping[str, Any]) -> ModelConfig:
    """Return the settings in `content`, that of config.json. Raise ValueError for those that no AST can have."""
    given = {name: content[name] for name in ModelConfig.__dataclass_fields__ if name in content}
    for name, value in given.items():
        default = getattr(ModelConfig, name)
        if type(default) is int and (type(value) is not int or not 1 <= value <= MAX_SIZE):
            raise ValueError(f"{name} is {describe_value(value)}; expected a whole number from 1 to {MAX_SIZE}")
        if type(default) is bool and type(value) is not bool:
            raise ValueError(f"{name} is {describe_value(value)}; expected true or false")
    config = ModelConfig(**given)
    if config.hidden_act not in ACTIVATIONS:
        raise ValueError(f"hidden_act is {describe_value(config.hidden_act)}; expected one of {', '.join(ACTIVATIONS)}")
    if not is_number(config.layer_norm_eps, 0, 1):
        raise ValueError(f"layer_norm_eps is {describe_value(config.layer_norm_eps)}; expected a number from 0 to 1")
    if (found := content.get("quantization_config")) is not None:
        raise ValueError(f"quantization_config is {describe_value(found)}; expected weights that aren't quantized")
    if config.hidden_size % config.num_attention_heads or config.patch_size > min(
        config.num_mel_bins, config.max_length
    ):
        raise ValueError(f"the sizes there are inconsistent: {config}")
    if config.tokens > MAX_TOKENS:
        raise ValueError(f"its sizes give {config.tokens} tokens; expected at most {MAX_TOKENS}")
    return config


def read_class_names(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the class names in `content`, that of config.json, by index. Raise ValueError if there are none."""
    if content.get("model_type") != MODEL_TYPE:
        found = describe_value(content.get("model_type"))
        raise ValueError(f"it describes a model of type {found}; expected {MODEL_TYPE!r}")
    id2label = content.get("id2label")
    if not isinstance(id2label, dict) or not id2label:
        raise ValueError("it has no class names: id2label is missing or empty")
    # transformers would ignore the names and make up `num_labels` others, even 10^9 of them.
    if (count := content.get("num_labels", len(id2label))) is not None and count != len(id2label):
        raise ValueError(f"num_labels is {describe_value(count)}, but id2label has {len(id2label)}")
    names = [id2label.get(str(index)) for index in range(len(id2label))]
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"id2label has no name for class {index}; expected one for each of 0…{len(names) - 1}")
        if len(name) > MAX_NAME or not _is_utf8(name):
            raise ValueError(
                f"id2label has the name {describe_value(name)} for class {index}; expected at most {MAX_NAME} "
                "characters of valid Unicode"
            )
    return tuple(str(name) for name in names)


def is_number(value: object, least: float, most: float) -> bool:
    """Return True for a number in `least`…`most`. JSON can have NaN, Infinity, and integers that no float holds."""
    return type(value) in (int, float) and least <= value <= most and not math.isnan(value)  # type: ignore[operator,arg-type]


def _is_utf8(name: str) -> bool:
    """Return False for lone surrogates, which JSON can have and no file."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
