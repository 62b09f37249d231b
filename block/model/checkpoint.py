"""Find a checkpoint folder, and read and check its files before torch is imported.

A checkpoint is a folder with `config.json`, `preprocessor_config.json` and `model.safetensors`. Pickled weights are
never read. Without these checks, a bad checkpoint would only show after minutes of loading.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from block.model.arithmetic import describe_config, dump_changes
from block.model.safetensors_header import find_misfit, read_shapes
from block.runtime.hashing import find_sha256
from block.runtime.places import BUNDLED_MODELS, find_model_store, is_wheel, spell_command

STORE = find_model_store()
DEFAULT = "ast-finetuned-audioset-10-10-0.4593"
EMBEDDED = "ast-tiny-audioset"
MODEL_TYPE = "audio-spectrogram-transformer"
# In download order: problems with the small files show before the large one is transferred.
FILES = (CONFIG, PREPROCESSOR, WEIGHTS) = ("config.json", "preprocessor_config.json", "model.safetensors")
RATE_HZ = 16000  # AST was trained at this rate; all recordings are resampled to it
MAX_JSON_BYTES = 16 << 20
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
    """A checkpoint on disk: its class names by index, its front end, and `config`, as from `describe_config`."""

    folder: Path
    name: str
    class_names: tuple[str, ...]
    front_end: FrontEnd
    config: str = ""

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
    _check_weights(folder, len(checkpoint.class_names))
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
    config = _read_json(folder / CONFIG)
    class_names = _read_class_names(config, folder)
    front_end = _read_front_end(config, _read_json(folder / PREPROCESSOR), folder)
    is_usual_size = (front_end.mel_bins, front_end.max_frames) == (FrontEnd.mel_bins, FrontEnd.max_frames)
    described = describe_config(config, is_usual_size)
    return Checkpoint(folder, folder.resolve().name, class_names, front_end, described)


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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        # Opening a pipe would block, and a device may never end.
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path} is not a file")
        if (size := path.stat().st_size) > MAX_JSON_BYTES:
            raise CheckpointError(f"{path} has {size} bytes; expected at most {MAX_JSON_BYTES}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"the checkpoint is incomplete: {path} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} can't be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} contains a JSON {type(content).__name__}; expected an object")
    return content


def _read_class_names(config: dict[str, Any], folder: Path) -> tuple[str, ...]:
    if config.get("model_type") != MODEL_TYPE:
        raise CheckpointError(f"{folder} has a model of type {config.get('model_type')!r}; expected {MODEL_TYPE!r}")
    id2label = config.get("id2label")
    if not isinstance(id2label, dict) or not id2label:
        raise CheckpointError(f"{folder / CONFIG} has no class names: id2label is missing or empty")
    # transformers would ignore the names and make up `num_labels` others, even 10^9 of them.
    if (count := config.get("num_labels", len(id2label))) is not None and count != len(id2label):
        raise CheckpointError(f"{folder / CONFIG}: num_labels is {count!r}, but id2label has {len(id2label)}")
    names = [id2label.get(str(index)) for index in range(len(id2label))]
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise CheckpointError(
                f"{folder / CONFIG}: id2label has no name for class {index}; expected one for each of "
                f"0…{len(names) - 1}"
            )
    return tuple(str(name) for name in names)


def _read_front_end(config: dict[str, Any], preprocessor: dict[str, Any], folder: Path) -> FrontEnd:
    kind = preprocessor.get("feature_extractor_type", "ASTFeatureExtractor")
    if kind != "ASTFeatureExtractor":
        raise CheckpointError(f"{folder}: the front end is {kind!r}; expected 'ASTFeatureExtractor'")
    given = {field: preprocessor[key] for field, key in SETTINGS.items() if key in preprocessor}
    for name, value in given.items():
        whole = name in ("rate_hz", "mel_bins", "max_frames")
        if whole and isinstance(value, float) and value.is_integer():
            given[name] = value = int(value)  # 16000.0 means 16000
        if name != "normalize" and (isinstance(value, bool) or not isinstance(value, int if whole else (int, float))):
            raise CheckpointError(f"{folder / PREPROCESSOR}: {SETTINGS[name]} is {value!r}; expected a number")
    known = {*SETTINGS.values(), *WITHOUT_EFFECT}
    front_end = FrontEnd(**given, others=dump_changes({k: preprocessor[k] for k in preprocessor.keys() - known}, {}))
    if front_end.rate_hz != RATE_HZ:
        raise CheckpointError(f"{folder / PREPROCESSOR}: sampling_rate is {front_end.rate_hz}; expected {RATE_HZ}")
    # Python's JSON reader accepts NaN and Infinity.
    scaled = abs(front_end.mean) <= MAX_SCALE and 1 / MAX_SCALE <= abs(front_end.std) <= MAX_SCALE
    if not (4 <= front_end.mel_bins <= MAX_MEL_BINS and 1 <= front_end.max_frames <= MAX_FRAMES and scaled):
        raise CheckpointError(
            f"{folder / PREPROCESSOR} describes an unusable front end: {front_end}; expected mel_bins 4 to "
            f"{MAX_MEL_BINS}, max_frames 1 to {MAX_FRAMES}, mean within ±{MAX_SCALE:g}, and std "
            f"{1 / MAX_SCALE:g} to {MAX_SCALE:g}"
        )
    # transformers' defaults, for keys that config.json leaves out.
    expected = (config.get("num_mel_bins", 128), config.get("max_length", 1024))
    if (front_end.mel_bins, front_end.max_frames) != expected:
        raise CheckpointError(
            f"{folder / PREPROCESSOR} describes {front_end.mel_bins} mel bins × {front_end.max_frames} frames; "
            f"the model expects {expected[0]} × {expected[1]}"
        )
    return front_end


def _check_weights(folder: Path, classes: int) -> None:
    """Raise CheckpointError unless the weights exist, are complete, and have the shapes that config.json implies."""
    path = folder / WEIGHTS
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
        shapes = read_shapes(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from None
    if problem := find_misfit(shapes, _read_json(folder / CONFIG), classes):
        raise CheckpointError(f"{path} does not match its config.json: {problem}")
