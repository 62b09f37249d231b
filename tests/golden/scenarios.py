"""The scenarios of the golden results: each is one or more runs of the block, in order, on the same data.

Files and folders named in arguments are in the scenario's own folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.golden.platform import Sample, sample
from tests.golden.sounds import sounds, wav

LABELS = ("--audioset-labels", "Speech, Music (tune), Dog (0.4)")
WINDOWS_1_S = ("--win-size-ms", "1000", "--win-stride-ms", "250")
ALL = (
    "radio", "phone_8k", "platform_44k", "waltz_22k", "stereo", "odd", "odd_22k", "short", "quiet_then_loud",
    "silence", "too_short", "empty",
)  # fmt: skip
FEW = ("radio", "odd_22k", "short")
LABEL = ("label", "audio", "--out", "out", *LABELS)
BY_SOUND = (*LABEL, "--boundaries", "sound")
SOUNDING = (*FEW, "moment", "phone_8k", "long")


@dataclass(frozen=True)
class Scenario:
    """Runs on the recordings `sounds`: of the AI Action, or of `python -m block` if `is_folder`.

    `pinned` is the path that fast mode must take; otherwise it takes the fastest, which varies. `expected` names
    another scenario with the same results. `more` makes additional samples of the project, and `ids` returns the ids
    to label, in order.
    """

    name: str
    runs: tuple[tuple[str, ...], ...]
    sounds: tuple[str, ...] = FEW
    is_folder: bool = False
    pinned: str = ""
    expected: str = ""
    more: Callable[[], list[Sample]] = list
    ids: Callable[[list[int]], Any] = list


def actions() -> list[Scenario]:
    """Return the scenarios of the AI Action."""
    return [
        # The second run finds all recordings already labeled.
        Scenario("exact", ((*LABELS, "--failed-ids-file", "failed.json", "--details", "details.jsonl"), LABELS), ALL,
                 more=_odd_samples, ids=lambda ids: {"ids": [9999, *ids, *ids[:3]]}),
        Scenario("preview_then_apply", (
            (*LABELS, "--propose-actions", "7", "--score-store", "scores"),
            (*LABELS, "--min-confidence", "0.5", "--score-store", "scores"),
        ), ("radio", "phone_8k", "odd", "empty"), more=_odd_samples),
        Scenario("dry_run", ((*LABELS, "--dry-run"),)),
        Scenario("journal", ((*LABELS, "--journal", "journal.jsonl"),) * 2),
        Scenario("hand_labels", (LABELS, (*LABELS, "--skip-labeled"), (*LABELS, "--overwrite-hand-labels")),
                 more=_labeled_samples),
        Scenario("overlap_sigmoid", ((*LABELS, "--win-size-ms", "2000", "--win-stride-ms", "700", "--score-function",
                                      "sigmoid", "--score-store", "scores", "--details", "details.jsonl"),),
                 (*FEW, "odd", "stereo")),
        Scenario("whole_recordings", ((*LABELS, "--win-size-ms", "0", "--score-store", "scores"),),
                 ("long", "radio", "odd", "phone_8k")),
        Scenario("renames_and_roll_ups", (
            ("--audioset-labels", r"Human voice* (person, 0.3)\nMusical instrument* (tune)\nMusic (tune, 0.6)",
             "--other-label", "nothing", "--details", "details.jsonl"),
        ), ("radio", "platform_44k", "odd_22k")),
        Scenario("cells_apart", ((*LABELS, "--no-merge", "--win-size-ms", "1500", "--win-stride-ms", "1000"),)),
        Scenario("short_segments_and_silence", (
            (*LABELS, "--min-segment-ms", "2500", "--silence-dbfs", "-55", "--score-store", "scores"),
        ), ("radio", "quiet_then_loud", "silence", "odd")),
        Scenario("repeated_filling", ((*LABELS, "--fill", "repeat", "--score-store", "scores"),), ("radio", "short")),
        Scenario("fast_merged", ((*LABELS, *WINDOWS_1_S, "--mode", "fast"),), ("long", "odd_22k", "short"),
                 pinned="merged"),
        Scenario("fast_int8", ((*LABELS, *WINDOWS_1_S, "--mode", "fast"),), ("long", "odd_22k", "short"),
                 pinned="merged-int8"),
        Scenario("refused", (
            ("--audioset-labels", "Spech"), ("--min-confidence", "2"), ("--win-size-ms", "10"),
            ("--propose-actions", ""), ("--model", "no-such-model"), ("--mdel", "x"),
        )),
        Scenario("nothing_to_do", ((*LABELS, "--failed-ids-file", "failed.json"),), ids=lambda _: []),
    ]  # fmt: skip


def folders() -> list[Scenario]:
    """Return the scenarios of folders."""
    evaluate = ("evaluate", "audio", "--annotations", "annotations.csv", "--out", "report", "--audioset-labels",
                "Speech (speech), Music (music)", "--win-size-ms", "500", "--win-stride-ms", "500",
                "--segment-s", "0.5", "--bootstrap", "100", "--fit-thresholds", "f1")  # fmt: skip
    return [
        # The second run computes nothing and changes nothing.
        Scenario("folder", (LABEL, LABEL), (*ALL, "long"), is_folder=True),
        Scenario("folder_relabeled", (LABEL, ("relabel", "out", "--min-confidence", "0.6", "--other-label", "rest")),
                 is_folder=True),
        Scenario("folder_formats", ((*LABEL, "--formats", "csv,audacity", "--no-score-store", *WINDOWS_1_S),),
                 is_folder=True),
        Scenario("folder_fast", ((*LABEL, *WINDOWS_1_S, "--mode", "fast"),), ("long", "odd"), is_folder=True,
                 pinned="merged"),
        # The second run computes nothing and changes nothing.
        Scenario("folder_by_sound", (BY_SOUND, BY_SOUND), SOUNDING, is_folder=True),
        Scenario("folder_evaluated", (evaluate,), ("radio", "phone_8k", "platform_44k", "waltz_22k"), is_folder=True),
    ]  # fmt: skip


def cluster() -> list[Scenario]:
    """Return the scenarios of a Ray cluster with two workers."""

    def run(label: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        # The second run, in one process, finds all recordings already labeled by the cluster.
        return ((*label, "--ray", "--ray-workers", "2"), label)

    return [
        Scenario("ray", run(LABEL), (*ALL, "long"), is_folder=True, expected="folder"),
        Scenario("ray_by_sound", run(BY_SOUND), SOUNDING, is_folder=True, expected="folder_by_sound"),
    ]


def project(scenario: Scenario) -> list[Sample]:
    """Return the samples of a scenario's project; their ids start at 1."""
    made = []
    for number, name in enumerate(scenario.sounds, 1):
        values, rate_hz = sounds()[name]
        made.append(sample(number, name, len(values), float(rate_hz), wav(values, rate_hz)))
    return made + scenario.more()


def _odd_samples() -> list[Sample]:
    """Return samples that fail or are skipped, each for another reason, and two unusual ones that are labeled."""
    values, rate_hz = sounds()["short"]
    good = wav(values, rate_hz)
    count = len(values)
    two_axes = [{"name": "temperature", "units": "C"}, {"name": "microphone", "units": "wav"}]
    return [
        sample(101, "no audio", count, 16000.0, None),
        sample(102, "damaged", count, 16000.0, good[:5000]),
        sample(103, "garbage", count, 16000.0, b"not a sound"),
        sample(104, "disabled", count, 16000.0, good, isDisabled=True),
        sample(105, "processing", count, 16000.0, good, isProcessing=True),
        sample(106, "other length", count + 4000, 16000.0, good),
        sample(107, "labels refused", count, 16000.0, good, ("structured-labels",)),
        sample(108, "proposals refused", count, 16000.0, good, ("propose-changes",)),
        sample(109, "metadata refused", count, 16000.0, good, ("metadata",)),
        sample(110, "counted at 8 kHz", count // 2, 8000.0, good),
        sample(111, "two axes", count, 16000.0, good, sensors=two_axes, metadata={"site": "north", "level": 3}),
        sample(112, "images", count, 16000.0, good, chartType="image"),
    ]


def _labeled_samples() -> list[Sample]:
    """Return samples with labels made by a person, or made by this block and then changed or only partly written."""
    values, rate_hz = sounds()["short"]
    good = wav(values, rate_hz)
    labels = [{"startIndex": 0, "endIndex": len(values) - 1, "label": "cough"}]
    by = {"labeled_by": "audio-spectrogram-transformer"}
    known = {
        201: {"labeled_by": "human"},
        202: {**by, "ast_job": "0123456789abcdef", "ast_segments": "stale"},
        203: {**by, "ast_job": "0123", "ast_segments": "", "ast_replacing": "x"},
        204: {},
    }  # fmt: skip
    return [
        sample(number, f"labeled {number}", len(values), 16000.0, good, metadata=metadata, structuredLabels=labels)
        for number, metadata in known.items()
    ]
