"""Parity with transformers' pipeline, cell for cell, and what must not change a score."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from block import audio
from block.decisions import apply_score_function, score_classes, score_labels
from block.labeling import labeler as labeler_module
from block.labeling.labeler import ExactLabeler
from block.labels import parse_labels
from block.model.checkpoint import find_checkpoint
from block.model.classifier import Classifier, Logits, is_out_of_memory
from block.model.device import Device, choose_device
from block.model.features import FilterBanks
from block.recording import LabeledRecording, Recording, RecordingError, Waveform, Window
from block.settings import FILLS, REPEAT, ComputeSettings, DecisionSettings, WindowSettings
from block.windows import PreparedRecording, lay_out_windows_ms, slice_at_model_rate, split_into_chunks
from tests.conftest import EMBEDDED, ROOT

RNG = np.random.default_rng(3)


def recording(seconds: float, rate: int = 16000, identity: int = 1) -> Recording:
    """A sound that changes every second, so that its windows differ."""
    time = np.arange(round(seconds * rate)) / rate
    hz = 200 * 2 ** (np.floor(time) % 5)
    waveform = 0.3 * np.sin(2 * np.pi * hz * time) + RNG.normal(0, 0.02, len(time)) * (np.floor(time) % 2)
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format="WAV", subtype="FLOAT")
    return of(audio.decode(file.getvalue()), identity)


def compute_logits(labeler: ExactLabeler, batch: Sequence[PreparedRecording], path: str = "exact") -> Logits:
    return labeler.compute_outputs([(one.waveform, chunk) for one in batch for chunk in one.chunks], path)


def of(sound: audio.DecodedAudio, identity: int = 1) -> Recording:
    return Recording(
        identity, f"r{identity}", sound.rate_hz, sound.positions, sound.waveform, ratio=sound.ratio
    )  # fmt: skip


MakeLabeler = Callable[..., ExactLabeler]


@pytest.fixture(scope="module")
def make_labeler(checkpoint_folder: Path) -> MakeLabeler:
    def make(
        text: str = "Speech, Music, Dog, Whimper",
        windows: WindowSettings = WindowSettings(1000, 700),
        batch_size: int = 0,
        folder: Path = checkpoint_folder,
        fast: bool = False,
        **decisions: object,
    ) -> ExactLabeler:
        checkpoint = find_checkpoint(str(folder))
        device = choose_device(ComputeSettings("cpu"))
        labels = parse_labels(text, checkpoint.class_names, 0.15)
        return ExactLabeler(
            Classifier(checkpoint, device, batch_size, fast),
            FilterBanks(checkpoint.front_end, device.device),
            windows,
            DecisionSettings(labels, **decisions),  # type: ignore[arg-type]
            warn=lambda text: None,
        )

    return make


def label(labeler: ExactLabeler, *recordings: Recording) -> list[LabeledRecording]:
    return labeler.label([labeler.prepare(one) for one in recordings])


def told(labeled: LabeledRecording) -> list[tuple[int, int, str]]:
    return [(segment.start, segment.end, segment.label) for segment in labeled.segments]


def by_pipeline(
    folder: Path, sound: Recording, windows: WindowSettings, names: list[str], threshold: float = 0.15,
    fill_up: Callable[[Waveform], Waveform] = lambda part: part,
) -> list[tuple[int, int, str]]:  # fmt: skip
    """Compute cells and labels independently: transformers' pipeline on slices, and the rules in plain Python."""
    from transformers import ASTFeatureExtractor, ASTForAudioClassification, pipeline

    classify = pipeline(
        "audio-classification",
        model=ASTForAudioClassification.from_pretrained(folder),
        feature_extractor=ASTFeatureExtractor.from_pretrained(folder),
    )
    heard = sound.waveform
    layout = lay_out_windows_ms(sound.values, Fraction(sound.rate_hz), windows.size_ms, windows.stride_ms)
    scores = []
    for window in layout.windows:
        span = slice_at_model_rate(window, Fraction(16000, sound.rate_hz), len(heard))
        best: dict[str, float] = {}
        for piece in split_into_chunks(span.length, 164_080):
            part = fill_up(heard[span.start + piece.start : span.start + piece.end])
            for one in classify({"raw": part, "sampling_rate": 16000}, top_k=None):
                best[one["label"]] = max(best.get(one["label"], 0.0), one["score"])
        scores.append(best)
    cells = []
    for cell in layout.cells:
        mean = {name: sum(scores[i][name] for i in cell.windows) / len(cell.windows) for name in names}
        winner = max(names, key=lambda name: mean[name])
        cells.append((cell.start, cell.end, winner if mean[winner] >= threshold else "other"))
    return cells


@pytest.mark.parametrize(
    ("rate", "seconds", "windows"),
    [
        (16000, 6.3, WindowSettings(1000, 700)),
        (44100, 4.1, WindowSettings(2000, 2000)),
        (22050, 3.0, WindowSettings(999, 333)),
        (8000, 0.7, WindowSettings(2000, 2000)),
        (48000, 23.0, WindowSettings(0, 0)),  # three chunks
    ],
)
def test_labels_agree_cell_for_cell_with_the_pipeline(
    make_labeler: MakeLabeler,
    checkpoint_folder: Path,
    rate: int,
    seconds: float,
    windows: WindowSettings,
) -> None:
    sound = recording(seconds, rate)
    labeler = make_labeler(windows=windows, merge=False)
    names = [one.class_name for one in labeler.decisions.labels]
    assert told(label(labeler, sound)[0]) == by_pipeline(checkpoint_folder, sound, windows, names)


@pytest.mark.parametrize(
    ("seconds", "windows"),
    [
        (6.3, WindowSettings(1000, 700)),
        (0.2, WindowSettings(25, 25)),
        (0.7, WindowSettings(2000, 2000)),  # shorter than its window
        (23.0, WindowSettings(0, 0)),  # three chunks, each filled up
    ],
)
def test_repeated_windows_are_labeled_as_the_pipeline_labels_tiled_slices(
    make_labeler: MakeLabeler, checkpoint_folder: Path, seconds: float, windows: WindowSettings
) -> None:
    sound = recording(seconds)
    labeler = replace(make_labeler(windows=windows, merge=False), fill=REPEAT)
    expected = by_pipeline(
        checkpoint_folder, sound, windows, ["Speech", "Music", "Dog", "Whimper"],
        fill_up=lambda part: np.tile(part, 164_080 // len(part) + 1)[:164_080],
    )  # fmt: skip
    assert told(label(labeler, sound)[0]) == expected


def test_a_window_with_context_is_scored_as_all_that_the_model_hears_and_labels_itself(
    make_labeler: MakeLabeler,
) -> None:
    sound = recording(6.3)
    plain = make_labeler(windows=WindowSettings(1000, 1000), silence_dbfs=-60)
    labeler = replace(plain, context_ms=500)
    prepared, usual = labeler.prepare(sound), plain.prepare(sound)
    assert prepared.layout == usual.layout
    assert (prepared.levels_dbfs == usual.levels_dbfs).all()  # those of windows alone
    assert [(chunk.start, chunk.end) for chunk in prepared.chunks] == [
        (0, 24_000), *((16_000 * at - 8000, 16_000 * at + 24_000) for at in range(1, 5)), (72_000, 100_800),
        (76_800, 100_800),
    ]  # fmt: skip
    # The windows from 1 s to 4 s are scored as those of 2 s that begin half a second earlier.
    wide = make_labeler(windows=WindowSettings(2000, 500)).prepare(sound)
    found, expected = compute_logits(plain, [prepared])[1:4], compute_logits(plain, [wide])[[1, 3, 5]]
    assert apply_score_function(found, "softmax") == pytest.approx(apply_score_function(expected, "softmax"), abs=1e-5)


def test_context_has_no_part_in_windows_that_fill_the_model(make_labeler: MakeLabeler) -> None:
    labeler = replace(make_labeler(windows=WindowSettings(0, 0)), context_ms=10_000)
    for seconds in (12.0, 10.5):
        assert [chunk.length for chunk in labeler.prepare(recording(seconds)).chunks] == [seconds * 8000] * 2


def test_repeating_changes_only_the_scores_of_short_windows(
    make_labeler: MakeLabeler,
) -> None:
    for seconds, same in ((2.0, False), (164_080 / 16000, True)):
        labeler = make_labeler(windows=WindowSettings(0, 0))
        prepared = labeler.prepare(recording(seconds))
        assert prepared.chunk_counts == (1,)
        padded, again = (compute_logits(replace(labeler, fill=fill), [prepared]) for fill in FILLS)
        assert bool((padded == again).all()) is same


def test_repeated_windows_of_several_lengths_do_not_depend_on_their_batch(
    make_labeler: MakeLabeler,
) -> None:
    sounds = [recording(seconds, identity=i) for i, seconds in enumerate((3.2, 0.4, 0.07, 12.0))]
    for batch_size in (0, 2):
        labeler = replace(make_labeler(merge=False, batch_size=batch_size), fill=REPEAT)
        prepared = [labeler.prepare(sound) for sound in sounds]
        alone = np.concatenate([compute_logits(labeler, [one]) for one in prepared])
        assert apply_score_function(compute_logits(labeler, prepared), "softmax") == pytest.approx(
            apply_score_function(alone, "softmax"), abs=1e-5
        )


def test_a_label_that_stands_for_several_classes_is_scored_by_the_highest(
    make_labeler: MakeLabeler,
) -> None:
    sound = recording(30.0)
    windows = WindowSettings(15_000, 5000)  # two chunks per window, and cells that three windows cover
    labeler = make_labeler("Animal* (0), Speech* (0)", windows=windows, merge=False)
    prepared = labeler.prepare(sound)
    assert set(prepared.chunk_counts) == {2}
    of_pieces = apply_score_function(compute_logits(labeler, [prepared]), "softmax")
    names = labeler.classifier.checkpoint.class_names
    groups = [("Dog", "Whimper (dog)"), ("Speech", "Male speech, man speaking")]
    best = np.stack([of_pieces[:, [names.index(name) for name in group]].max(axis=1) for group in groups], axis=1)
    best = best.reshape(-1, 2, 2).max(axis=1)
    expected = [best[cell.windows.start : cell.windows.stop].mean(axis=0) for cell in prepared.layout.cells]
    segments = labeler.label([prepared])[0].segments
    assert [one.score for one in segments] == pytest.approx([row.max() for row in expected])
    assert [one.label for one in segments] == [("Animal", "Speech")[row.argmax()] for row in expected]


def test_the_recordings_of_the_parity_test_get_more_than_one_label(make_labeler: MakeLabeler) -> None:
    labeled = label(make_labeler(), recording(6.3))[0]
    assert len({segment.label for segment in labeled.segments}) > 2


def test_scores_of_all_classes_equal_the_pipelines_within_1e_4(
    make_labeler: MakeLabeler, checkpoint_folder: Path
) -> None:
    from transformers import ASTFeatureExtractor, ASTForAudioClassification, pipeline

    classify = pipeline(
        "audio-classification",
        model=ASTForAudioClassification.from_pretrained(checkpoint_folder),
        feature_extractor=ASTFeatureExtractor.from_pretrained(checkpoint_folder),
    )
    labeler = make_labeler(windows=WindowSettings(1500, 1500))
    prepared = labeler.prepare(recording(9.0))
    scores = score_classes(compute_logits(labeler, [prepared]), prepared.chunk_counts, "softmax")
    for row, span in zip(scores, prepared.chunks, strict=True):
        part = prepared.waveform[span.start : span.end]
        expected = {one["label"]: one["score"] for one in classify({"raw": part, "sampling_rate": 16000}, top_k=None)}
        assert row == pytest.approx([expected[name] for name in labeler.classifier.checkpoint.class_names], abs=1e-4)


def test_scores_do_not_depend_on_batch_size_order_or_other_windows(make_labeler: MakeLabeler) -> None:
    sounds = [recording(seconds, rate, i) for i, (seconds, rate) in enumerate([(3.2, 16000), (0.4, 8000), (7, 44100)])]
    alone = [label(make_labeler(merge=False), sound)[0] for sound in sounds]
    for batch_size in (1, 3, 100):
        labeler = make_labeler(merge=False, batch_size=batch_size)
        together = label(labeler, *reversed(sounds))[::-1]
        for one, other in zip(alone, together, strict=True):
            assert told(one) == told(other)
            assert [s.score for s in one.segments] == pytest.approx([s.score for s in other.segments], abs=1e-5)


def test_windows_that_fit_the_budget_share_one_forward_pass_and_others_get_equal_ones(
    make_labeler: MakeLabeler,
) -> None:
    def passes(labeler: ExactLabeler, *recordings: Recording) -> list[int]:
        sizes: list[int] = []
        forward = labeler.classifier.begin

        def count(inputs: Tensor, *how: object) -> object:
            sizes.append(len(inputs))
            return forward(inputs, *how)

        labeler.classifier.begin = count  # type: ignore[method-assign, assignment]
        label(labeler, *recordings)
        return sizes

    every_second = WindowSettings(1000, 1000)
    assert passes(make_labeler(windows=every_second, batch_size=100), recording(7.0), recording(3.0)) == [10]
    assert passes(make_labeler(windows=every_second, batch_size=6), recording(10.0)) == [5, 5]
    assert passes(make_labeler(windows=every_second, batch_size=4), recording(10.0)) == [4, 3, 3]


def test_on_running_out_of_memory_the_batch_halves_and_nothing_changes(
    make_labeler: MakeLabeler,
) -> None:
    warnings: list[str] = []
    labeler = replace(make_labeler(merge=False, batch_size=8), warn=warnings.append)
    forward = labeler.classifier.begin

    def tight(inputs: Tensor, *how: object) -> object:
        if len(inputs) > 2:
            raise MemoryError
        return forward(inputs, *how)

    sound = recording(6.0)
    expected = label(make_labeler(merge=False), sound)[0]
    labeler.classifier.begin = tight  # type: ignore[method-assign, assignment]
    got = label(labeler, sound)[0]
    assert told(got) == told(expected)
    assert labeler.classifier.capacity == 2
    assert warnings == ["out of memory on cpu with a batch of 5 windows; continuing with 2"]


def test_without_memory_for_a_single_window_the_recording_fails(make_labeler: MakeLabeler) -> None:
    labeler = make_labeler()

    def none(inputs: Tensor, *how: object) -> object:
        raise MemoryError

    labeler.classifier.begin = none  # type: ignore[method-assign, assignment]
    with pytest.raises(RecordingError, match="out of memory"):
        label(labeler, recording(3.0))


def test_running_out_of_memory_while_computing_features_halves_the_batch_too(
    make_labeler: MakeLabeler,
) -> None:
    labeler = make_labeler(merge=False, batch_size=8)

    class Tight(FilterBanks):
        def __call__(self, waveforms: Tensor) -> Tensor:
            if len(waveforms) > 2:
                raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")
            return super().__call__(waveforms)

    front_end = labeler.classifier.checkpoint.front_end
    tight = replace(labeler, filter_banks=Tight(front_end, torch.device("cpu")))
    sound = recording(6.0)
    assert told(label(tight, sound)[0]) == told(label(make_labeler(merge=False), sound)[0])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] data. DefaultCPUAllocator: not enough memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError(), False),
    ],
)
def test_every_way_of_running_out_of_memory_is_recognized_and_nothing_else(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_other_errors_of_the_model_are_not_mistaken_for_running_out_of_memory(
    make_labeler: MakeLabeler,
) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        make_labeler().classifier.logits(torch.zeros(3, 7, 128))


def test_silent_windows_get_the_other_label_without_asking_the_model(make_labeler: MakeLabeler) -> None:
    sound = recording(4.0)
    sound.waveform[16000:32000] = 1e-4  # a constant of -80 dBFS
    labeler = make_labeler(windows=WindowSettings(1000, 1000), silence_dbfs=-60.0, merge=False)
    prepared = labeler.prepare(sound)
    assert prepared.chunk_counts == (1, 0, 1, 1)
    labeled = labeler.label([prepared])[0]
    assert labeled.segments[1].label == "other"
    assert labeled.segments[1].score == 0
    everything = label(make_labeler(windows=WindowSettings(1000, 1000), merge=False), sound)[0]
    assert [one for i, one in enumerate(told(labeled)) if i != 1] == [
        one for i, one in enumerate(told(everything)) if i != 1
    ]


def test_a_recording_that_is_silent_throughout_needs_no_model(make_labeler: MakeLabeler) -> None:
    labeler = make_labeler(silence_dbfs=-60.0)
    sound = recording(3.0)
    sound.waveform[:] = 0
    assert told(label(labeler, sound)[0]) == [(0, 48000, "other")]


def test_silence_never_gets_a_label_of_interest_even_with_a_threshold_of_0(
    make_labeler: MakeLabeler,
) -> None:
    sound = recording(3.0)
    sound.waveform[:] = 0
    labeler = make_labeler("Speech (0), Music (0)", silence_dbfs=-60.0)
    assert told(label(labeler, sound)[0]) == [(0, 48000, "other")]


@pytest.mark.parametrize("rate", [4410, 22050, 44100, 7919])
def test_windows_of_25_ms_work_at_rates_where_rounding_leaves_them_short(make_labeler: MakeLabeler, rate: int) -> None:
    labeler = make_labeler(windows=WindowSettings(25, 25))
    sound = recording(0.3, rate)
    assert told(label(labeler, sound)[0])[-1][1] == sound.values


def test_a_recording_delivered_at_another_rate_is_labeled_in_its_own_values(
    make_labeler: MakeLabeler,
) -> None:
    sound = recording(5.0, 16000)
    at_8k = replace(sound, values=40000, stretch=Fraction(2))
    labeler = make_labeler(merge=False)
    halves = [(start // 2, end // 2, name) for start, end, name in told(label(labeler, sound)[0])]
    assert told(label(labeler, at_8k)[0]) == halves


def test_a_waveform_that_is_not_at_the_models_rate_is_refused(make_labeler: MakeLabeler) -> None:
    with pytest.raises(ValueError, match="the waveform is at 8000 Hz; the model expects 16000 Hz"):
        make_labeler().prepare(replace(recording(2.0), rate_hz=8000))


def test_a_long_window_is_as_loud_as_its_parts_together(make_labeler: MakeLabeler) -> None:
    sound = recording(70.0)  # more than one block of squares
    sound.waveform[:] = 1e-4
    sound.waveform[-16000:] = 0.1  # -38.5 dBFS over the whole
    windows = WindowSettings(0, 0)
    for silence_dbfs, silent in ((-38.4, True), (-38.6, False)):
        prepared = make_labeler(windows=windows, silence_dbfs=silence_dbfs).prepare(sound)
        assert (prepared.chunk_counts == (0,)) is silent


def test_min_segment_ms_counts_the_recordings_own_milliseconds(make_labeler: MakeLabeler) -> None:
    sound = recording(8.0, 8000)
    labeler = make_labeler(windows=WindowSettings(500, 500), min_segment_ms=1500)
    found = label(labeler, sound)[0].segments
    assert all(segment.length >= 12000 for segment in found)
    assert found[-1].end == 64000


def test_a_second_checkpoint_with_other_labels_frames_and_bins_works_by_its_folder(
    make_labeler: MakeLabeler, make_checkpoint: Callable[..., Path]
) -> None:
    folder = make_checkpoint(("yes", "no", "go, now"), seed=1, max_length=128)
    labeler = make_labeler("go, now (start), yes", folder=folder, windows=WindowSettings(2000, 1000))
    prepared: PreparedRecording = labeler.prepare(recording(5.0))
    assert labeler.classifier.checkpoint.front_end.limit_values == 400 + 160 * 127
    assert set(prepared.chunk_counts) == {2}  # 32000 values in chunks of at most 20720
    assert {segment.label for segment in labeler.label([prepared])[0].segments} <= {"start", "yes", "other"}


def demo_truth() -> dict[str, list[tuple[float, float, str]]]:
    spans: dict[str, list[tuple[float, float, str]]] = {}
    with (ROOT / "demo" / "expected.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            spans.setdefault(row["file"], []).append((float(row["start_s"]), float(row["end_s"]), row["label"]))
    return spans


@pytest.mark.parametrize("name", sorted(demo_truth()))
def test_the_embedded_checkpoint_labels_the_demo_correctly_and_like_the_pipeline(name: str) -> None:
    sound = audio.decode((ROOT / "demo" / "recordings" / name).read_bytes())
    one = of(sound)
    checkpoint = find_checkpoint(str(EMBEDDED))
    labels = parse_labels("speech\nmusic", checkpoint.class_names, 0.2)
    windows = WindowSettings(2000, 2000)
    device = choose_device(ComputeSettings("cpu"))
    for merge in (True, False):
        settings = DecisionSettings(labels, merge=merge)
        banks = FilterBanks(checkpoint.front_end, device.device)
        labeled = label(ExactLabeler(Classifier(checkpoint, device), banks, windows, settings, warn=print), one)[0]
        if merge:
            spans = [(s.start / sound.rate_hz, s.end / sound.rate_hz, s.label) for s in labeled.segments]
            assert spans == demo_truth()[name]
        else:
            lower = [(start, end, text.lower()) for start, end, text in by_pipeline(
                EMBEDDED, one, windows, ["Speech", "Music"], 0.2)]  # fmt: skip
            assert told(labeled) == lower


@pytest.mark.parametrize(("capability", "name"), [((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_a_gpu_gets_the_16_bit_type_that_it_multiplies_in_hardware(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], name: str
) -> None:
    monkeypatch.setattr("block.model.device._find_cuda_problem", lambda: "")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_device(ComputeSettings("auto")).dtype_name == name
    assert choose_device(ComputeSettings("auto", "float32")).dtype_name == "float32"


def test_fewer_groups_and_8_bits_are_less_accurate_and_every_path_accepts_windows_of_any_length() -> None:
    checkpoint = find_checkpoint(str(EMBEDDED))
    device = choose_device(ComputeSettings("cpu"))
    classifier = Classifier(checkpoint, device, fast=True)
    assert classifier.paths[:3] == ("exact", "merged", "merged-32")
    assert Classifier(checkpoint, device).paths == ("exact",)
    labels = parse_labels("Speech, Music, Dog", checkpoint.class_names, 0.2)
    labeler = ExactLabeler(
        classifier, FilterBanks(checkpoint.front_end, device.device), WindowSettings(1000, 500),
        DecisionSettings(labels), lambda text: None,
    )  # fmt: skip
    prepared = [labeler.prepare(recording(seconds, identity=i)) for i, seconds in enumerate((3.2, 0.4, 0.07, 1.0))]
    exact = apply_score_function(compute_logits(labeler, prepared), "softmax")
    errors = {
        path: np.abs(apply_score_function(compute_logits(labeler, prepared, path), "softmax") - exact).max()
        for path in classifier.paths[1:]
    }
    assert all(0 < error < 0.03 for error in errors.values())
    assert min(errors, key=lambda path: errors[path]) == "merged"
    assert compute_logits(labeler, prepared, "merged")[0] == pytest.approx(
        compute_logits(labeler, prepared[:1], "merged")[0], abs=1e-4
    )

    # A repeated window has no padding to merge, but 8-bit integers are still a separate path.
    repeating = replace(labeler, fill=REPEAT)
    assert repeating.paths == tuple(path for path in classifier.paths if path in ("exact", "merged-int8"))
    short = prepared[1:3]
    exact, *others = (
        apply_score_function(compute_logits(repeating, short, path), "softmax") for path in classifier.paths
    )
    for path, other in zip(classifier.paths[1:], others, strict=True):
        difference = np.abs(other - exact).max()
        assert 1e-5 < difference < 0.05 if "int8" in path else difference < 1e-5


def test_paths_are_twins_if_there_is_less_padding_than_groups() -> None:
    checkpoint = find_checkpoint(str(EMBEDDED))
    classifier = Classifier(checkpoint, choose_device(ComputeSettings("cpu")), fast=True)
    frames = {4: 960, 20: 704, 60: 64}  # by the number of padded columns, of 64; a column has 8 patches
    twins = {columns: classifier.find_twins([recorded]) for columns, recorded in frames.items()}
    assert [twins[columns]["merged"] for columns in frames] == ["exact", "merged", "merged"]
    assert [twins[columns]["merged-32"] for columns in frames] == ["exact", "merged-32", "merged-32"]
    assert classifier.find_twins(frames.values()) == {path: path for path in classifier.paths}
    no_padding = classifier.find_twins([checkpoint.front_end.max_frames])
    assert {no_padding[path] for path in classifier.paths} == {"exact", "merged-int8"} & set(classifier.paths)
    if "merged-int8" in classifier.paths:
        assert twins[4]["merged-int8-16"] == "merged-int8-16"
        assert no_padding["merged-int8-16"] == "merged-int8"


def test_bfloat16_changes_the_scores_of_the_demo_by_at_most_a_hundredth() -> None:
    checkpoint = find_checkpoint(str(EMBEDDED))
    windows = []
    for name in sorted(demo_truth()):
        sound = audio.decode((ROOT / "demo" / "recordings" / name).read_bytes())
        heard = torch.from_numpy(sound.waveform)
        windows += [heard[start : start + 32000] for start in range(0, len(heard) - 31999, 32000)]
    inputs = FilterBanks(checkpoint.front_end, torch.device("cpu"))(torch.stack(windows))
    exact, rounded = (
        Classifier(checkpoint, choose_device(ComputeSettings("cpu", dtype))).logits(inputs)
        for dtype in ("float32", "bfloat16")
    )
    for function in ("softmax", "sigmoid"):
        assert np.abs(apply_score_function(exact, function) - apply_score_function(rounded, function)).max() < 0.01


def test_boundaries_by_sound_cut_a_recording_where_it_changes_at_any_rate(make_labeler: MakeLabeler) -> None:
    """Seconds 1 and 3 have noise, so levels change there; each tone of a second differs from the next."""
    for rate in (8000, 16000, 44100):
        layout = make_labeler(windows=WindowSettings(boundaries="sound")).prepare(recording(6.0, rate)).layout
        assert [cut / rate for cut in layout.cuts or ()] == pytest.approx([1, 2, 3, 4, 5], abs=0.02)


def test_stretches_longer_than_the_models_input_are_divided_evenly(make_labeler: MakeLabeler) -> None:
    labeler = make_labeler(windows=WindowSettings(boundaries="sound"))
    for rate in (16000, 22050):
        file = io.BytesIO()
        soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, 25 * rate), rate, format="WAV", subtype="FLOAT")
        prepared = labeler.prepare(of(audio.decode(file.getvalue())))
        lengths = [window.length for window in prepared.layout.windows]
        assert len(lengths) == 3
        assert max(lengths) - min(lengths) <= 1
        assert prepared.chunk_counts == (1, 1, 1)


def test_a_short_stretch_is_heard_twice_and_gets_the_higher_score(make_labeler: MakeLabeler) -> None:
    """Noise of 0.5 s in 4.5 s of silence: the second chunk has 1.5 s of silence around it."""
    labeler = make_labeler(windows=WindowSettings(boundaries="sound"))
    waveform = np.zeros(5 * 16000, np.float32)
    waveform[32000:40000] = np.random.default_rng(0).normal(0, 0.1, 8000)
    prepared = labeler.prepare(Recording(1, "one", 16000, len(waveform), waveform))
    assert prepared.chunk_counts == (1, 2, 1)
    start, end = prepared.layout.cuts or ()
    own, wider = prepared.chunks[1:3]
    assert (own.start, own.end) == (start, end)
    assert wider.length == 32000
    assert wider.start + wider.end == pytest.approx(start + end, abs=1)
    labeler = replace(labeler, decisions=replace(labeler.decisions, merge=False))
    [labeled] = labeler.label([prepared])
    scores = score_labels(labeler.compute_outputs([(waveform, one) for one in (own, wider)]), (1, 1), labeler.decisions)
    assert scores.max() != scores[0].max(), "the second chunk decides"
    assert labeled.segments[1].score == pytest.approx(scores.max(), abs=1e-5)


def test_context_that_reaches_farther_than_a_second_chunk_replaces_it(make_labeler: MakeLabeler) -> None:
    labeler = replace(make_labeler(windows=WindowSettings(boundaries="sound")), context_ms=1000)
    waveform = np.zeros(5 * 16000, np.float32)
    waveform[32000:40000] = np.random.default_rng(0).normal(0, 0.1, 8000)
    assert labeler.prepare(Recording(1, "one", 16000, len(waveform), waveform)).chunk_counts == (1, 1, 1)


def test_boundaries_by_sound_do_not_change_what_is_refused(make_labeler: MakeLabeler) -> None:
    labeler = make_labeler(windows=WindowSettings(boundaries="sound"))
    with pytest.raises(RecordingError, match=r"the recording is 20.0 ms long; expected at least 25 ms"):
        labeler.prepare(recording(0.02))


@pytest.mark.parametrize(("path", "groups"), [("exact", 1), ("merged", 2)])
def test_stretches_of_unlike_length_share_passes_by_their_token_columns(
    make_labeler: MakeLabeler, path: str, groups: int
) -> None:
    labeler = make_labeler(windows=WindowSettings(boundaries="sound"), batch_size=50, fast=True)
    waveform = recording(10.0).waveform
    lengths = [9_000, 9_160, 11_000, 12_960, 13_200, 25_000]  # up to 80 frames, 0.8 s; and up to 160
    items = [(waveform, Window(0, length)) for length in lengths]
    passes: list[int] = []
    begin = labeler.classifier.begin

    def count(inputs: Tensor, recorded: int | None = None, path: str = "exact") -> Tensor:
        passes.append(len(inputs))
        return begin(inputs, recorded, path)

    labeler.classifier.begin = count  # type: ignore[method-assign]
    together = labeler.compute_outputs(items, path)
    assert sorted(passes) == sorted([6] if groups == 1 else [4, 2])
    apart = np.concatenate([labeler.compute_outputs([item], path) for item in items])
    assert np.abs(together - apart).max() < 1e-4
    exact = labeler.compute_outputs(items)
    assert np.abs(together - exact).max() < 0.2


def test_batches_that_overlap_give_the_same_labels_one_pass_at_a_time(make_labeler: MakeLabeler) -> None:
    labeler = make_labeler(batch_size=3)
    batches = [[labeler.prepare(recording(3 + number, identity=number))] for number in range(6)]
    expected = [labeler.label(batch) for batch in batches]
    begin, under_way, most = labeler.classifier.begin, [0], [0]

    def count(*arguments: Any) -> Tensor:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        try:
            return begin(*arguments)
        finally:
            under_way[0] -= 1

    labeler.classifier.begin = count  # type: ignore[method-assign]
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(labeler.label, batches)) == expected
    assert most == [1]


def test_batches_overlap_on_a_gpu_only(make_labeler: MakeLabeler) -> None:
    labeler = make_labeler()
    assert labeler.batches_at_once == 1
    labeler.classifier.device = Device(torch.device("cuda"), torch.float32, "pretended")
    assert labeler.batches_at_once == 2


def test_windows_for_a_gpu_are_stacked_in_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = RNG.normal(0, 0.1, 1000).astype(np.float32)
    items = [(waveform, Window(start, start + 300)) for start in (0, 100, 700)] + [(waveform, Window(0, 200))]
    (equal, short) = labeler_module._stack_equal_lengths(items, pin=False)
    np.testing.assert_array_equal(equal.numpy(), np.stack([waveform[0:300], waveform[100:400], waveform[700:1000]]))
    np.testing.assert_array_equal(short.numpy(), waveform[None, :200])
    pinned: list[bool] = []
    empty = torch.empty

    def note(*shape: Any, pin_memory: bool, **options: Any) -> Tensor:
        pinned.append(pin_memory)  # without a GPU there is none
        return empty(*shape, **options)

    monkeypatch.setattr(torch, "empty", note)
    assert len(list(labeler_module._stack_equal_lengths(items, pin=True))) == 2
    assert pinned == [True, True]
