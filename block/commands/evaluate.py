"""`python -m block evaluate DIR --annotations FILE`: compare labels with the user's annotations."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from block import __version__
from block.commands import ALL_LABELED, SOME_FAILED
from block.commands.evaluate_options import Configuration, check_labels, configure, names_any_label, read
from block.evaluation.agreement import measure_agreement
from block.evaluation.annotation_tables import read_annotations
from block.evaluation.annotations import Annotations, from_folders
from block.evaluation.as_json import agreement_as_json, as_json
from block.evaluation.bootstrap import Resamples
from block.evaluation.compute_scores import ComputedScores, compute_scores
from block.evaluation.evaluation import (
    Evaluation,
    ReportFacts,
    evaluate_labels,
    fit_thresholds,
    translate_thresholds,
)
from block.evaluation.event_based import Collars
from block.evaluation.examples import Moment, find_least_certain, find_mistakes
from block.evaluation.formatting import list_names
from block.evaluation.ground_truth import GroundTruth, read_ground_truth
from block.evaluation.outside import find_outside
from block.evaluation.predictions import predict
from block.evaluation.report import render_agreement, render_report
from block.evaluation.text_report import format_metrics, list_files
from block.evaluation.timelines import find_timelines
from block.folder.listing import check_any_recording, find_recordings, name_uniquely, show_path
from block.folder.location import LocalFolder
from block.folder.output_folder import lock
from block.folder.project_colors import read_project_colors
from block.folder.source import warn_without_decoder
from block.formatting import count, make_printable, print_warning
from block.labeling.job import Job, format_labels, print_job
from block.recording import RecordingError
from block.runtime.atomic_file import write_atomic
from block.runtime.cancel import CANCELED
from block.runtime.imports import describe_install
from block.score_store.shard import need_pyarrow
from block.settings import DecisionSettings, SettingsError

REPORT, JSON = "report.html", "evaluation.json"
SMOOTHING = ("hysteresis", "median_ms", "min_segment_ms", "min_event_ms", "min_gap_ms")


def main(argv: Sequence[str]) -> int:
    """Evaluate and return the exit code. Raise SettingsError, LabelError or CheckpointError if nothing can start."""
    options = read(argv)
    check_installed()
    need_pyarrow()
    root, out = Path(options.folder), Path(options.out)
    LocalFolder(options.folder).check()
    if root.resolve().is_relative_to(out.resolve()):
        raise SettingsError(f"--out {out} contains the folder of recordings; choose a folder that doesn't")
    listing = find_recordings(root, exclude=out)
    check_any_recording(listing, root)
    warn_without_decoder(listing.files, print_warning)
    with lock(out):
        present = {name_uniquely(path): path for path in listing.files}
        annotations = _read_annotations(options, root, present)
        configurations = configure(options, annotations)
        if annotations is None:
            return _report_agreement(configurations, list(present.values()), root, out)
        return _report_metrics(configurations, annotations, present, root, out)


def check_installed() -> None:
    """Raise SettingsError if scikit-learn or Jinja is not installed."""
    try:
        import jinja2  # noqa: F401
        import sklearn.metrics
        import sklearn.model_selection  # noqa: F401
    except (ImportError, OSError) as error:
        raise SettingsError(f"evaluate needs scikit-learn and Jinja ({error}); {describe_install('folder')}") from None


def _read_annotations(options: argparse.Namespace, root: Path, present: dict[str, str]) -> Annotations | None:
    """Return the annotations; None for a comparison in which neither a file nor a folder names labels."""
    if options.annotations:
        return read_annotations(Path(options.annotations), present, print_warning)
    if options.compare and not names_any_label(options, {file.partition("/")[0] for file in present if "/" in file}):
        return None
    return from_folders(root, present)


@dataclass(frozen=True)
class AllScores:
    """The scores of each configuration. `paths` have scores in all of them; `failed` has the others, with reasons."""

    each: tuple[ComputedScores, ...]
    paths: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]

    @property
    def speedup(self) -> float | None:
        first, second = (one.seconds for one in self.each)
        return first / second if first and second else None


def _compute_all(
    configurations: Sequence[Configuration], paths: Sequence[str], out: Path, what: str
) -> AllScores | None:
    """Return the scores of each configuration; None if canceled. Raise SettingsError if no recording has scores."""
    from block.labeling.engine import start  # imports torch

    each: list[ComputedScores] = []
    for one in configurations:
        engine = start(one.job)
        print_job(one.job, engine.digest)
        each.append(compute_scores(engine, one.options, paths, out))
        if each[-1].canceled:
            print("canceled; run the same command again to continue")
            return None
    failed = tuple(sorted({name_uniquely(path): why for one in each for path, why in one.failed.items()}.items()))
    readable = tuple(path for path in paths if all(path in one.clips for one in each))
    if not readable:
        raise SettingsError(f"none of the {what} could be read, for example {failed[0][0]}: {failed[0][1]}")
    return AllScores(tuple(each), readable, failed)


def _report_agreement(configurations: Sequence[Configuration], paths: Sequence[str], root: Path, out: Path) -> int:
    """Report how well two configurations agree, without annotations."""
    a, b = configurations
    for option in ("fit-thresholds", "translate-thresholds"):
        if getattr(a.options, option.replace("-", "_")):
            raise SettingsError(f"--{option} needs annotations; give --annotations FILE, or one folder per class")
    check_labels(configurations)
    if a.job.windows != b.job.windows:
        raise SettingsError(
            f"--compare: got windows of {a.job.windows} and {b.job.windows}, expected the same windows; to compare "
            "different ones, give --annotations"
        )
    print("no annotations: comparing only how well A and B agree", flush=True)
    scores = _compute_all(configurations, paths, out, "recordings")
    if scores is None:
        return CANCELED
    predictions_a, predictions_b = (
        [predict(computed.clips[path], one.job.decisions) for path in scores.paths]
        for one, computed in zip(configurations, scores.each, strict=True)
    )
    agreement = measure_agreement(predictions_a, predictions_b, scores.speedup)
    if agreement is None:
        raise SettingsError("--compare: A and B get different windows of the same recordings; give --annotations")
    settings = _describe_settings(root, None, a.job, scores.each[0])
    facts = ReportFacts(f"Agreement of A and B on {show_path(root.resolve().name)}", settings, failed=scores.failed)
    print(
        "\n".join(
            ("", f"A: {make_printable(a.name, 400)}", f"B: {make_printable(b.name, 400)}", *agreement.lines(), "")
        )
    )
    for file, reason in scores.failed:
        print(f"could not be read: {make_printable(file)}: {make_printable(reason, 400)}")
    content = (facts, a.name, b.name, agreement)
    _write(out, render_agreement(*content), agreement_as_json(*content))
    return SOME_FAILED if scores.failed else ALL_LABELED


def _report_metrics(
    configurations: Sequence[Configuration], annotations: Annotations, present: dict[str, str], root: Path, out: Path
) -> int:
    """Report how good the labels are, compared with the annotations."""
    options = configurations[0].options
    ground_truth = read_ground_truth(annotations, configurations[0].resolver, options.exhaustive)
    check_labels(configurations)
    _check_any_judged(ground_truth)
    names = ground_truth.files
    rows = [row for row, name in enumerate(names) if name in present]
    if not rows:
        raise SettingsError(
            f"none of the annotated files is in {root} ({len(names)} missing, for example {names[0]!r}); "
            "make their paths relative to that folder"
        )
    scores = _compute_all(configurations, [present[names[row]] for row in rows], out, "annotated files")
    if scores is None:
        return CANCELED
    lengths_s = {name_uniquely(path): scores.each[0].clips[path].seconds for path in scores.paths}
    facts = ReportFacts(
        f"Labels of {show_path(root.resolve().name)} compared with your annotations",
        _describe_settings(root, annotations, configurations[0].job, scores.each[0]),
        options.exhaustive,
        options.segment_s if annotations.is_strong else None,
        tuple(name for name in names if name not in present),
        tuple(sorted(present.keys() - set(names))),
        scores.failed,
        tuple(find_outside(annotations, lengths_s)),
        Collars(options.collar_ms / 1000, options.collar_percent / 100),
    )
    ground_truth = ground_truth.select([row for row in rows if present[names[row]] in scores.paths])
    resamples = Resamples(len(scores.paths), options.bootstrap, options.seed)
    results = []
    for one, computed in zip(configurations, scores.each, strict=True):
        clips = [computed.clips[path] for path in scores.paths]
        given = (one.name, clips, one.job.decisions, ground_truth, resamples, facts.segment_s, facts.collars)
        results.append(evaluate_labels(*given))
    first, second, goal = results[0], results[1] if len(results) > 1 else None, options.fit_thresholds
    evaluation = Evaluation(
        facts,
        ground_truth,
        resamples,
        first,
        second,
        measure_agreement(first.predictions, second.predictions, scores.speedup) if second else None,
        goal,
        fit_thresholds(first, ground_truth, goal, resamples) if goal else (),
        translate_thresholds(first) if options.translate_thresholds else None,
    )
    mistakes, uncertain = (
        [_add_excerpt(moment, root / scores.paths[moment.clip]) for moment in choose(first, ground_truth)]
        for choose in (find_mistakes, find_least_certain)
    )
    print("", format_metrics(evaluation), "", *list_files(evaluation), sep="\n")
    timelines = find_timelines(results, ground_truth, facts.collars)
    page = render_report(evaluation, mistakes, uncertain, read_project_colors(root), timelines)
    _write(out, page, as_json(evaluation))
    return SOME_FAILED if facts.missing or facts.failed else ALL_LABELED


def _check_any_judged(truth: GroundTruth) -> None:
    """Raise SettingsError unless at least one label of interest can be judged."""
    if not truth.is_judged.any():
        raise SettingsError(
            f"no label of interest occurs in the annotations: got {list_names(truth.unjudged_names)}, but the "
            f"annotations contain {list_names(truth.unused_names) or 'no labels'}; give labels that occur in them with "
            "--audioset-labels, or, if the annotations are complete, add --exhaustive"
        )


def _describe_settings(
    root: Path, annotations: Annotations | None, job: Job, scores: ComputedScores
) -> tuple[tuple[str, str], ...]:
    decisions, compute = job.decisions, job.compute
    seconds = sum(clip.seconds for clip in scores.clips.values())
    silence = "" if decisions.silence_dbfs is None else f", silent below {decisions.silence_dbfs:g} dBFS"
    windows = f"{job.windows}{silence}"
    annotated: tuple[tuple[str, str], ...] = ()
    if annotations is not None:
        kind = "with start and end times" if annotations.is_strong else "for whole clips"
        annotated = (("annotations", f"{annotations.source}: {count(len(annotations.rows), 'row')} {kind}"),)
        windows = f"{windows}; a clip gets the highest score of its windows"
    return (
        ("recordings", f"{len(scores.clips)} in {show_path(root)}, {seconds / 60:.1f} min"),
        *annotated,
        ("model", f"{job.checkpoint.name}, sha256 {job.checkpoint.sha256()[:12]}"),
        ("labels of interest", f"{format_labels(decisions.labels)}; all else: {decisions.other_label}"),
        ("scores", f"{decisions.score_function}, {compute.mode} mode, {scores.dtype}, fill: {compute.filling}"),
        ("windows", windows),
        *_describe_smoothing(decisions),
        ("block", __version__),
    )


def _describe_smoothing(decisions: DecisionSettings) -> list[tuple[str, str]]:
    """Return the options that change labels in time, as one row; none if they are all off."""
    changed = [
        f"--{one.name.replace('_', '-')} {getattr(decisions, one.name):g}"
        for one in fields(decisions)
        if one.name in SMOOTHING and getattr(decisions, one.name) != one.default
    ]
    return [("in time", ", ".join(changed))] if changed else []


def _add_excerpt(moment: Moment, path: Path) -> Moment:
    """Return the moment with an excerpt of its recording, or unchanged if the recording can't be read."""
    from block import audio
    from block.evaluation.excerpts import cut_excerpt

    try:
        sound = audio.decode(path, allow_truncated=True)
    except RecordingError:
        return moment
    rate_hz = round(sound.rate_hz * sound.ratio)
    return replace(moment, excerpt=cut_excerpt(sound.waveform, rate_hz, moment.start_s, moment.end_s))


def _write(out: Path, page: str, content: str) -> None:
    try:
        write_atomic(out / REPORT, page)
        write_atomic(out / JSON, content)
    except OSError as error:
        raise SettingsError(f"--out {show_path(out)} can't be written: {error.strerror or error}") from None
    print(f"wrote {show_path(out / REPORT)}, to open in a browser, and {show_path(out / JSON)}", flush=True)
