"""Load a checkpoint's model and its feature extractor with transformers, which never opens a connection here.

transformers gets settings and tensors, not the folder: it would also read other files there, such as the settings in
processor_config.json, and any file with weights that config.json names, pickles among them.
"""

from __future__ import annotations

import getpass
import math
import os
import tempfile
from dataclasses import asdict
from typing import Any

import torch

from block.model.checkpoint import PREPROCESSOR, Checkpoint, CheckpointError, read_settings
from block.model.device import Device
from block.runtime.imports import describe_import_error, describe_install
from block.runtime.limits import find_available_bytes
from block.settings import SettingsError


def _import_transformers() -> Any:
    """Import transformers, offline and without progress bars. Raise SettingsError if that's not possible."""
    # Set before huggingface_hub is imported, so that it never opens a connection.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    _set_compile_cache()
    try:
        import transformers
        from transformers import ASTFeatureExtractor, ASTForAudioClassification  # noqa: F401
        from transformers.utils import logging
    except Exception as error:  # a broken package, or a local file with its name, can raise anything
        raise SettingsError(
            f"transformers can't be imported ({describe_import_error(error)}); {describe_install()}"
        ) from None
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return transformers


def _set_compile_cache() -> None:
    """Set torch's compile cache, which stays unused, where importing torch would fail to find one.

    torch derives it from the user name and the folder for temporary files. A container may have neither.
    """
    try:
        getpass.getuser()
        tempfile.gettempdir()
    except (OSError, KeyError, ImportError):
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.dirname(__file__))


def load_model(checkpoint: Checkpoint, device: Device) -> Any:
    """Return the `ASTForAudioClassification` in evaluation mode on the device.

    Raise CheckpointError if it can't be loaded or doesn't match its config.json, or SettingsError if transformers can't
    be imported.
    """
    transformers = _import_transformers()
    from safetensors.torch import load_file

    try:
        size, available = checkpoint.weights.stat().st_size, find_available_bytes()
        if size > available:
            raise CheckpointError(f"{checkpoint.weights} needs {size} bytes of memory; {available} are available")
        names = dict(enumerate(checkpoint.class_names))
        model, info = transformers.ASTForAudioClassification.from_pretrained(
            None,
            config=transformers.ASTConfig(**asdict(checkpoint.model_config), id2label=names),
            state_dict=load_file(checkpoint.weights),
            dtype=device.dtype,
            attn_implementation="sdpa",
            output_loading_info=True,
        )
        model = model.eval().to(device.device)
    except CheckpointError:
        raise
    except Exception as error:  # weights that don't fit the model can make transformers raise anything
        raise CheckpointError(
            f"{checkpoint.folder} can't be loaded on {device.device}: {_format_reason(error)}"
        ) from error
    # transformers fills missing weights with random numbers, so the scores would be noise.
    for problem in ("missing_keys", "unexpected_keys"):
        if found := sorted(str(key) for key in info.get(problem, ())):
            raise CheckpointError(
                f"{checkpoint.weights} does not match its config.json: {problem.replace('_', ' ')} "
                f"{', '.join(found[:3])}" + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            )
    for name, weights in model.state_dict().items():
        if not math.isfinite(weights.sum(dtype=torch.float64)):
            raise CheckpointError(f"{checkpoint.weights} contains NaN or infinite values, first in {name}")
    return model


def load_extractor(checkpoint: Checkpoint) -> Any:
    """Return the `ASTFeatureExtractor` that preprocessor_config.json describes. Errors are those of `load_model`."""
    extractor = _import_transformers().ASTFeatureExtractor
    settings = {name: one for name, one in read_settings(checkpoint.folder / PREPROCESSOR).items() if name[:1] != "_"}
    if found := [name for name in settings if callable(getattr(extractor, name, None))]:
        raise CheckpointError(
            f"{checkpoint.folder / PREPROCESSOR} has the key {found[0]}, a function of the extractor; expected settings"
        )
    try:
        return extractor.from_dict(settings)
    except Exception as error:  # a strange preprocessor_config.json can make transformers raise anything
        raise CheckpointError(
            f"the feature extractor in {checkpoint.folder} can't be loaded: {_format_reason(error)}"
        ) from error


def _format_reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
