"""Find a checkpoint folder, and read and check its files before torch is imported.

A checkpoint is a folder with `config.json`, `preprocessor_config.json` and `model.safetensors`. Pickled weights are
never read. Without these checks, a bad checkpoint would only show after minutes of loading.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from block.model.arithmetic import describe_config, dump_changes
from block.model.model_config import ModelConfig, is_number, read_class_names, read_model_config
from block.model.safetensors_header import find_misfit, read_shapes
from block.runtime.hashing import find_sha256
from block.runtime.json_text import describe_value, parse_object
from block.runtime.places import BUNDLED_MODELS, find_model_store, is_wheel, spell_command
from block.runtime.regular_file import open_regular

STORE = find_model_store()
DEFAULT = "ast-finetuned-audioset-10-10-0.4593"
EMBEDDED = "ast-tiny-audioset"
# In download order: problems with the small files show before the large one is transferred.
FILES = (CONFIG, PREPROCESSOR, WEIGHTS) = ("config.json", "preprocessor_config.json", "model.safetensors")
RATE_HZ = 16000  # AST was trained at this rate; all recordings are resampled to it
# The largest accepted files in bytes, whatever a server or an archive claims.
MAX_BYTES = {CONFIG: 4 << 20, PREPROCESSOR: 1 << 20, WEIGHTS: 8 << 30}
# The spectrum has 257 bins, and 2^19 frames are an hour and a half; larger front ends would only waste memory.
MAX_MEL_BINS, MAX_FRAMES = 512, 1 << 19
MAX_SCALE = 1e6  # limit for `mean` and `std`, so that normalized values fit easily into float32
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
# Settings in preprocessor_config.json by the field of FrontEnd, and those that don't change the model's input.
SETTINGS = {
    "rate_hz": "sampling_rate", "mel_bins": "num_mel_bins", "max_frames": "max_length",
    "mean": "mean", "std": "std", "normalize": "do_normalize",
}  # fmt: skip
WITHOUT_EFFECT = (
    "feature_extractor_type", "feature_size", "padding_side", "padding_value", "return_attention_mask",
    "processor_class", "transformers_version",
)  # fmt: skip


class CheckpointError(Exception):
    """A checkpoint is missing or unusable; the message names the file and the reason.

    Its notes, if there are any, are lines to copy that solve the problem.
    """


@dataclass(frozen=True)
class FrontEnd:
    """Parameters that turn a waveform into model input: Kaldi filter banks, as in transformers' ASTFeatureExtractor.

    Frames of 25 ms every 10 ms at `rate_hz`, with `mel_bins` bins each, are zero-padded or cut to `max_frames`; if
    `normalize`, they become `(x - mean) / (2 · std)`. `others` is JSON of settings that this block doesn't know.
    """

    rate_hz: int = 16000
    mel_bins: int = 128
    max_frames: int = 1024
    mean: float = -4.2677393
    std: float = 4.5689974
    normalize: bool = True
    others: str = field(default="", repr=False)

    @property
    def frame_values(self) -> int:
        """Return the number of values in a frame: 400 at 16 kHz."""
        return int(self.rate_hz * 0.025)

    @property
    def hop_values(self) -> int:
        """Return the number of values between frame starts: 160 at 16 kHz."""
        return int(self.rate_hz * 0.010)

    @property
    def limit_values(self) -> int:
        """Return the most values the model can take at once: 164,080 for 1024 frames at 16 kHz."""
        return self.frame_values + self.hop_values * (self.max_frames - 1)

    @property
    def changes(self) -> str:
        """Return what differs from the default front end as JSON; empty if nothing does."""
        return dump_changes(asdict(self), asdict(FrontEnd()))

    def count_frames(self, values: int) -> int:
        """Return the number of whole frames in `values` values, at most `max_frames`."""
        return min(self.max_frames, max(0, (values - self.frame_values) // self.hop_values + 1))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk: its class names by index, its front end, and the settings of its model.

    `config` describes those settings that move logits, as from `describe_config`.
    """

    folder: Path
    name: str
    class_names: tuple[str, ...]
    front_end: FrontEnd
    config: str = ""
    model_config: ModelConfig = field(default=ModelConfig(), repr=False)

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS

    @property
    def is_in_store(self) -> bool:
        return self.folder.parent in (STORE, BUNDLED_MODELS)

    def sha256(self) -> str:
        """Return the SHA-256 of the weights in hexadecimal. For an unchanged large file it comes from a cache.

        Raise CheckpointError if the file can't be read.
        """
        try:
            return find_sha256(self.weights)
        except OSError as error:
            raise CheckpointError(f"{self.weights} can't be read: {error.strerror or error}") from None


def find_checkpoint(name_or_folder: str, store: Path | None = None) -> Checkpoint:
    """Return the checkpoint with that name in `store` (`models/`), or in that folder. Raise CheckpointError."""
    store = store or STORE
    is_name = Path(name_or_folder).name == name_or_folder and name_or_folder not in (".", "..")
    folder = find_folder(name_or_folder, store) if is_name else Path(name_or_folder)
    if is_name and not _is_folder(folder) and _is_folder(Path(name_or_folder)):
        folder = Path(name_or_folder)
    if not _is_folder(folder):
        raise _describe_missing(name_or_folder, store)
    checkpoint = read_checkpoint(folder)
    _check_weights(checkpoint)
    return checkpoint


def find_folder(name: str, store: Path) -> Path:
    """Return the folder of the checkpoint `name`, there or not: in `store`, or in the installed package if embedded."""
    folder = store / name
    return BUNDLED_MODELS / name if name == EMBEDDED and is_wheel() and not _is_folder(folder) else folder


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # the name is too long or contains a null character
        return False


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint that the JSON files in `folder` describe. Raise CheckpointError if they are unusable."""
    config = read_settings(folder / CONFIG)
    try:
        class_names, model_config = read_class_names(config), read_model_config(config)
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from None
    front_end = _read_front_end(model_config, read_settings(folder / PREPROCESSOR), folder)
    is_usual_size = (front_end.mel_bins, front_end.max_frames) == (FrontEnd.mel_bins, FrontEnd.max_frames)
    described = describe_config(config, is_usual_size)
    return Checkpoint(folder, folder.resolve().name, class_names, front_end, described, model_config)


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in one of the JSON files of a checkpoint. Raise CheckpointError if it can't be read."""
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path} is not a file")
        with open_regular(path) as file:
            if (size := path.stat().st_size) > MAX_BYTES[path.name]:
                raise CheckpointError(f"{path} has {size} bytes; expected at most {MAX_BYTES[path.name]}")
            return parse_object(file.read(MAX_BYTES[path.name]))
    except FileNotFoundError:
        raise CheckpointError(f"the checkpoint is incomplete: {path} is missing") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read as JSON: {error}") from None


def _describe_missing(name: str, store: Path) -> CheckpointError:
    text = f"no checkpoint {name!r}: {store / name if Path(name).name == name else name} is not a folder"
    if name == DEFAULT:
        error = CheckpointError(f"{text}; fetch it, or use the small embedded one to try things out:")
        error.add_note(f"{spell_command('models fetch')}  # 346 MB; then run the same command again")
        error.add_note(f"--model {EMBEDDED}  # or add this to the command")
        return error
    try:
        folders = [path.name for path in store.iterdir() if path.is_dir()]
    except OSError:
        folders = []
    present = sorted({name for name in folders if not name.startswith(".")} | ({EMBEDDED} if is_wheel() else set()))
    return CheckpointError(f"{text}; available in {store}: {', '.join(present) or 'none'}")


def _read_front_end(model_config: ModelConfig, preprocessor: dict[str, Any], folder: Path) -> FrontEnd:
    path = folder / PREPROCESSOR
    kind = preprocessor.get("feature_extractor_type", "ASTFeatureExtractor")
    if kind != "ASTFeatureExtractor":
        raise CheckpointError(f"{folder}: the front end is {describe_value(kind)}; expected 'ASTFeatureExtractor'")
    given = {field: preprocessor[key] for field, key in SETTINGS.items() if key in preprocessor}
    for name, value in given.items():
        found = f"{path}: {SETTINGS[name]} is {describe_value(value)}"
        if name == "normalize":
            if not isinstance(value, bool):
                raise CheckpointError(f"{found}; expected true or false")
            continue
        whole = name in ("rate_hz", "mel_bins", "max_frames")
        if whole and isinstance(value, float) and value.is_integer():
            given[name] = value = int(value)  # 16000.0 means 16000
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise CheckpointError(f"{found}; expected a number")
    known = {*SETTINGS.values(), *WITHOUT_EFFECT}
    front_end = FrontEnd(**given, others=dump_changes({k: preprocessor[k] for k in preprocessor.keys() - known}, {}))
    if front_end.rate_hz != RATE_HZ:
        raise CheckpointError(f"{path}: sampling_rate is {describe_value(front_end.rate_hz)}; expected {RATE_HZ}")
    scaled = is_number(front_end.mean, -MAX_SCALE, MAX_SCALE) and (1 / MAX_SCALE <= abs(front_end.std) <= MAX_SCALE)
    if not (4 <= front_end.mel_bins <= MAX_MEL_BINS and 1 <= front_end.max_frames <= MAX_FRAMES and scaled):
        raise CheckpointError(
            f"{path} describes an unusable front end: {describe_value(front_end)}; expected mel_bins 4 to "
            f"{MAX_MEL_BINS}, max_frames 1 to {MAX_FRAMES}, mean within ±{MAX_SCALE:g}, and std "
            f"{1 / MAX_SCALE:g} to {MAX_SCALE:g}"
        )
    expected = (model_config.num_mel_bins, model_config.max_length)
    if (front_end.mel_bins, front_end.max_frames) != expected:
        raise CheckpointError(
            f"{path} describes {front_end.mel_bins} mel bins × {front_end.max_frames} frames; "
            f"the model expects {expected[0]} × {expected[1]}"
        )
    return front_end


def _check_weights(checkpoint: Checkpoint) -> None:
    """Raise CheckpointError unless the weights exist, are complete, and have the shapes that config.json implies."""
    folder, path = checkpoint.folder, checkpoint.weights
    if not path.is_file():
        try:
            pickled = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
        except OSError as error:
            raise CheckpointError(f"{folder} can't be read: {error.strerror or error}") from None
        if pickled:
            raise CheckpointError(f"{folder} has only pickled weights ({pickled[0]}), which are never loaded; "
                                  "convert them to model.safetensors")  # fmt: skip
        raise CheckpointError(f"the checkpoint is incomplete: {path} is missing")
    try:
        if (size := path.stat().st_size) > MAX_BYTES[WEIGHTS]:
            raise CheckpointError(f"{path} has {size} bytes; expected at most {MAX_BYTES[WEIGHTS]}")
        shapes = read_shapes(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from None
    if problem := find_misfit(shapes, checkpoint.model_config, len(checkpoint.class_names)):
        raise CheckpointError(f"{path} does not match its config.json: {problem}")
