"""`python -m block evaluate DIR --annotations FILE`: how good the labels are, by the user's own annotations."""

from __future__ import annotations

import argparse
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from block import __version__
from block.commands import ALL_LABELED, SOME_FAILED
from block.commands import evaluate_options as reading
from block.commands.options import read_job
from block.evaluation import ranking
from block.evaluation.agreement import measure_agreement
from block.evaluation.annotations import Annotations, from_folders, read_csv
from block.evaluation.as_json import agreement_as_json, as_json
from block.evaluation.bootstrap import Resamples
from block.evaluation.compute_scores import ComputedScores, compute_scores
from block.evaluation.evaluation import (
    Evaluation,
    LabelingResult,
    ReportFacts,
    compare,
    evaluate_labels,
    fit_thresholds,
    translate_thresholds,
)
from block.evaluation.examples import Moment, least_certain, mistakes
from block.evaluation.ground_truth import GroundTruth, Names, labels_named, truth
from block.evaluation.report import ReportExample, agreement_report, report
from block.evaluation.text_report import files as file_lines
from block.evaluation.text_report import text
from block.folder.listing import find_recordings, format_path
from block.folder.output_folder import lock
from block.labeling.job import Job, format_labels
from block.labels import ClassNames, parse_labels
from block.model.checkpoint import Checkpoint, find_checkpoint
from block.recording import RecordingError
from block.runtime import atomic_file
from block.runtime.cancel import CANCELED
from block.score_store.shard import need_pyarrow
from block.settings import SettingsError

REPORT, JSON = "report.html", "evaluation.json"


@dataclass(frozen=True)
class _Configuration:
    """One way to label, checked; `options` are those that it comes from."""

    name: str
    options: argparse.Namespace
    job: Job
    names: Names


def main(argv: Sequence[str]) -> int:
    """Evaluate. Returns the exit code; raises SettingsError, LabelError or CheckpointError if nothing can start."""
    options = reading.read(argv)
    ranking.require()
    need_pyarrow()
    root, out = Path(options.folder), Path(options.out)
    _check_folders(root, out)
    with lock(out):
        listing = find_recordings(root, exclude=out)
        # Names that look the same are the same, in whichever of the ways that Unicode has for é they are written.
        present = {_name(file): file for file in listing.files}
        annotations = _annotations(options, root, present)
        plans = [_plan(name, changed, annotations) for name, changed in reading.configurations(options)]
        if annotations is None:
            return _agreement(plans, root, out, list(present.values()))
        whole = truth(annotations, plans[0].names, options.exhaustive)
        _check_same(plans)
        keep = [at for at, file in enumerate(whole.files) if _name(file) in present]
        if not keep:
            raise SettingsError(
                f"none of the {len(whole.files)} annotated files is in {root}, {whole.files[0]!r} for one; paths are "
                "relative to that folder"
            )
        missing = tuple(file for file in whole.files if _name(file) not in present)
        not_annotated = tuple(sorted(present.keys() - {_name(file) for file in whole.files}))
        paths = [present[_name(whole.files[at])] for at in keep]
        heard = _scores(plans, paths, out)
        if heard is None:
            return CANCELED
        about = ReportFacts(
            f"Labels of {root.resolve().name} held to {Path(annotations.source).name}",
            _facts(root, annotations, plans[0].job, heard[0]), options.exhaustive,
            options.segment_s if annotations.strong else None, missing, not_annotated, _failed(heard),
        )  # fmt: skip
        there = [at for at, path in zip(keep, paths, strict=True) if all(path in one.clips for one in heard)]
        if not there:
            raise SettingsError(
                f"none of the annotated files could be read; {about.failed[0][0]}: {about.failed[0][1]}"
            )
        evaluation = _evaluated(options, plans, heard, whole.only(there), present, about)
        return _written(evaluation, root, present, out)


def _check_folders(root: Path, out: Path) -> None:
    try:
        os.scandir(root).close()
    except OSError as error:
        raise SettingsError(f"{root} cannot be read as a folder: {error.strerror or error}") from None
    if root.resolve().is_relative_to(out.resolve()):
        raise SettingsError(f"--out {out} is or holds the folder of recordings; name one beside it")


def _name(file: str) -> str:
    return unicodedata.normalize("NFC", format_path(file))


def _annotations(options: argparse.Namespace, root: Path, present: dict[str, str]) -> Annotations | None:
    """The annotations; None where two ways are compared and no file or folder says what is heard."""
    if options.annotations:
        return read_csv(Path(options.annotations))
    if options.compare and not _folders_name_labels(options, present):
        return None
    return from_folders(root, present)


def _folders_name_labels(options: argparse.Namespace, present: Iterable[str]) -> bool:
    """Whether any topmost folder is named for a label of interest, or for any class where none are given."""
    class_names = find_checkpoint(reading.configurations(options)[0][1].model).class_names
    folders = {file.partition("/")[0] for file in present if "/" in file}
    if options.audioset_labels is None:
        known = ClassNames(class_names)
        return any(folder in known for folder in folders)
    labels = parse_labels(options.audioset_labels, class_names, options.min_confidence)
    return Names(labels, class_names, options.other_label).any_of(folders)


def _scores(plans: Sequence[_Configuration], paths: Sequence[str], out: Path) -> list[ComputedScores] | None:
    """The scores that each plan gives the recordings; None if it was cancelled."""
    found = []
    for plan in plans:
        found.append(compute_scores(plan.options, plan.job, paths, out))
        if found[-1].cancelled:
            print("cancelled; the same command again goes on from here")
            return None
    return found


def _failed(heard: Sequence[ComputedScores]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({format_path(path): why for one in heard for path, why in one.failed.items()}.items()))


def _speedup(first: ComputedScores, second: ComputedScores) -> float | None:
    return first.seconds / second.seconds if first.seconds and second.seconds else None


def _agreement(plans: Sequence[_Configuration], root: Path, out: Path, paths: Sequence[str]) -> int:
    """Report how far two ways agree, without annotations."""
    a, b = plans
    for option in ("fit-thresholds", "translate-thresholds"):
        if getattr(a.options, option.replace("-", "_")):
            raise SettingsError(f"--{option} needs annotations: --annotations FILE, or a folder per class")
    _check_same(plans)
    if a.job.windows != b.job.windows:
        raise SettingsError(
            f"--compare: agreement needs the same windows, got {a.job.windows} and {b.job.windows}; give --annotations "
            "to compare different ones"
        )
    if not paths:
        raise SettingsError(f"{root} holds no recordings")
    print("No file or folder says what is heard: only how far A and B agree is reported", flush=True)
    heard = _scores(plans, paths, out)
    if heard is None:
        return CANCELED
    failed = _failed(heard)
    there = [path for path in paths if all(path in one.clips for one in heard)]
    if not there:
        raise SettingsError(f"none of the recordings could be read; {failed[0][0]}: {failed[0][1]}")
    clips_a, clips_b = ([one.clips[path] for path in there] for one in heard)
    agreement = measure_agreement(clips_a, clips_b, a.job.decisions, b.job.decisions, _speedup(*heard))
    if agreement is None:
        raise SettingsError("--compare: the two models get different windows of the same recordings")
    about = ReportFacts(
        f"Agreement on the recordings of {root.resolve().name}", _facts(root, None, a.job, heard[0]), False, None,
        failed=failed,
    )  # fmt: skip
    print("\n".join(("", f"A: {a.name}", f"B: {b.name}", *agreement.lines(), "")))
    for file, reason in failed:
        print(f"could not be read: {file}: {reason}")
    content = (about, a.name, b.name, agreement)
    _write(out, agreement_report(*content), agreement_as_json(*content))
    return SOME_FAILED if failed else ALL_LABELED


def _write(out: Path, page: str, content: str) -> None:
    try:
        atomic_file.write_atomic(out / REPORT, page)
        atomic_file.write_atomic(out / JSON, content)
    except OSError as error:
        raise SettingsError(f"--out {out} cannot be written: {error.strerror or error}") from None
    print(f"written: {out / REPORT}, to read in a browser, and {out / JSON}", flush=True)


def _plan(name: str, options: argparse.Namespace, annotations: Annotations | None) -> _Configuration:
    options = reading.with_windows(options, annotations is None or annotations.strong)
    checkpoint: Checkpoint = find_checkpoint(options.model)
    if options.audioset_labels is None:
        options.audioset_labels = reading.label_defaults()
        if annotations is not None:
            named = labels_named(annotations, checkpoint.class_names, options.min_confidence, options.other_label)
            options.audioset_labels = "\n".join(label.entry for label in named)
    job = read_job(options)
    return _Configuration(name, options, job, Names(job.decisions.labels, checkpoint.class_names, options.other_label))


def _check_same(plans: Sequence[_Configuration]) -> None:
    """Two checkpoints may know a label by other classes, but it has to have the same name."""
    first, *others = [[target.name for target in plan.names.targets] for plan in plans]
    for names in others:
        if names != first:
            raise SettingsError(
                f"--compare: the ways have other labels, {', '.join(first)} and {', '.join(names)}; name the same ones "
                "with --audioset-labels"
            )


def _facts(root: Path, annotations: Annotations | None, job: Job, heard: ComputedScores) -> tuple[tuple[str, str], ...]:
    decisions, compute = job.decisions, job.compute
    seconds = sum(clip.seconds for clip in heard.clips.values())
    silence = "" if decisions.silence_dbfs is None else f", silence below {decisions.silence_dbfs:g} dBFS"
    windows = f"{job.windows}{silence}"
    annotated: tuple[tuple[str, str], ...] = ()
    if annotations is not None:
        kind = "strong, from when to when" if annotations.strong else "whole clips"
        annotated = (("annotations", f"{annotations.source}: {len(annotations.rows)} rows, {kind}"),)
        windows = f"{job.windows}; a clip gets the highest score of any{silence}"
    return (
        ("recordings", f"{len(heard.clips)} in {root}, {seconds / 60:.1f} min"),
        *annotated,
        ("model", f"{job.checkpoint.name}, sha256 {job.checkpoint.sha256()[:12]}"),
        ("labels of interest", f"{format_labels(decisions.labels)}; otherwise {decisions.other_label}"),
        ("scores", f"{decisions.score_function}, {compute.mode} mode, {heard.dtype}, filled by {compute.fill}"),
        ("windows", windows),
        ("block", __version__),
    )


def _evaluated(
    options: argparse.Namespace,
    plans: Sequence[_Configuration],
    heard: Sequence[ComputedScores],
    truth: GroundTruth,
    present: dict[str, str],
    about: ReportFacts,
) -> Evaluation:
    resamples = Resamples(len(truth.files), options.bootstrap, options.seed)
    found: list[LabelingResult] = []
    for plan, one in zip(plans, heard, strict=True):
        clips = [one.clips[present[_name(file)]] for file in truth.files]
        found.append(evaluate_labels(plan.name, clips, plan.job.decisions, truth, resamples, about.segment_s))
    agreement = None
    if len(found) > 1:
        a, b = found
        agreement = measure_agreement(a.clips, b.clips, a.settings, b.settings, _speedup(*heard))
    goal = options.fit_thresholds
    return Evaluation(
        about, truth, resamples, found[0],
        found[1] if len(found) > 1 else None,
        compare(found[0], found[1]) if len(found) > 1 else (),
        goal,
        fit_thresholds(found[0], truth, goal, resamples) if goal else (),
        translate_thresholds(found[0]) if options.translate_thresholds else None,
        agreement,
    )  # fmt: skip


def _written(evaluation: Evaluation, root: Path, present: dict[str, str], out: Path) -> int:
    first, truth = evaluation.first, evaluation.truth
    wrong = mistakes(first.clips, first.predictions, truth, first.settings)
    unsure = least_certain(first.clips, first.predictions, truth, first.settings)
    shows = [_shown(moment, root, present[_name(truth.files[moment.clip])]) for moment in (*wrong, *unsure)]
    print(f"\n{text(evaluation)}\n")
    for line in file_lines(evaluation):
        print(line)
    _write(out, report(evaluation, shows[: len(wrong)], shows[len(wrong) :]), as_json(evaluation))
    return SOME_FAILED if evaluation.about.missing or evaluation.about.failed else ALL_LABELED


def _shown(moment: Moment, root: Path, file: str) -> ReportExample:
    """Read a recording again for the little of it that is shown."""
    from block import audio
    from block.evaluation.excerpts import excerpt

    try:
        sound = audio.decode(root / file)
    except RecordingError:
        return ReportExample(moment, None)
    rate_hz = round(sound.rate_hz * sound.ratio)
    return ReportExample(moment, excerpt(sound.waveform, rate_hz, moment.start_s, moment.end_s))
