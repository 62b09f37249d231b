"""Load a checkpoint's model and its feature extractor with transformers, which never opens a connection here."""

from __future__ import annotations

import getpass
import math
import os
import tempfile
from typing import Any

import torch

from block.model.checkpoint import Checkpoint, CheckpointError
from block.model.device import Device
from block.runtime.imports import describe_import_error, describe_install
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
    try:
        model, info = transformers.ASTForAudioClassification.from_pretrained(
            checkpoint.folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=device.dtype,
            attn_implementation="sdpa",
            output_loading_info=True,
        )
        model = model.eval().to(device.device)
    except Exception as error:  # a strange config.json can make transformers raise anything
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
    transformers = _import_transformers()
    try:
        return transformers.ASTFeatureExtractor.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as error:  # a strange preprocessor_config.json can make transformers raise anything
        raise CheckpointError(
            f"the feature extractor in {checkpoint.folder} can't be loaded: {_format_reason(error)}"
        ) from error


def _format_reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
