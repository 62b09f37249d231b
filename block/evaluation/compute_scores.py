"""The logits of annotated recordings: those that OUT holds, and those that are computed now and kept there."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from block.decisions import is_silent
from block.evaluation.predictions import Clip
from block.folder import manifest
from block.folder.decide import find_unscored
from block.folder.location import LocalFolder
from block.folder.manifest import ManifestReporter
from block.folder.output_folder import SCORES
from block.folder.source import Folder, is_unchanged
from block.labeling.interfaces import Summary
from block.labeling.job import Job
from block.score_store import Scored
from block.settings import DecisionSettings, SettingsError, WindowSettings
from block.windows import Layout, lay_out_ms

FILES = "evaluation-files.json"
NOT_REACHED = "the run ended before it"


@dataclass(frozen=True)
class ComputedScores:
    """Each recording's clip by its path, and why the others have none. `dtype` is what was computed in.

    `seconds` is what it took to compute all of them; None where OUT held some already.
    """

    clips: dict[str, Clip]
    failed: dict[str, str]
    cancelled: bool
    dtype: str
    seconds: float | None = None


def compute_scores(options: argparse.Namespace, job: Job, files: Sequence[str], out: Path) -> ComputedScores:
    """Score `files`, paths relative to the folder, as `job` says; what OUT holds already is not computed again.

    Raises SettingsError or CheckpointError where nothing can start, and where OUT cannot be written.
    """
    try:
        from block.labeling.engine import start
    except (ImportError, OSError) as error:
        raise SettingsError(
            f"PyTorch cannot be used ({error}): pip install -r locked/run.txt -r locked/torch.txt"
        ) from None

    engine = start(job)
    location = LocalFolder(options.folder)
    known = manifest.load_manifest(out / FILES, warn=lambda text: print(f"warning: {text}", flush=True))
    held = known.with_files(files, {}, lambda entry: is_unchanged(location, entry))
    progress = engine.progress(len(files), options.verbose, options.max_hours)
    progress.each = options.verbose
    with engine.store(out / SCORES, progress) as store:
        ids = find_unscored(held, store, job.decisions)
        if len(ids) < len(files):
            print(f"{len(files) - len(ids)} of {len(files)} recordings have their scores in {out / SCORES}", flush=True)
        summary, seconds = Summary(), None
        if ids:
            from block.labeling.cached_labeler import CachedLabeler
            from block.labeling.run import Run

            progress = engine.progress(len(ids), options.verbose, options.max_hours)
            progress.each = options.verbose
            labeler = CachedLabeler(engine.labeler(progress, stored=True), store)
            folder = Folder(location, held, progress.warn_once, model_rate_hz=job.checkpoint.front_end.rate_hz)
            started = time.perf_counter()
            summary = Run(folder, folder, labeler, ManifestReporter(progress, held)).label(ids)
            store.flush()
            if len(ids) == len(files):
                seconds = time.perf_counter() - started
            progress.finish(summary, None)
        try:
            held.save()
        except OSError as error:
            raise SettingsError(f"--out {out} cannot be written: {error.strerror or error}") from None
        clips, failed = {}, {}
        for entry in held.entries:
            scored = None if entry.problem or not entry.content else store.find(entry.content)
            if scored is None:
                failed[entry.path] = entry.problem or summary.ended or NOT_REACHED
            else:
                clips[entry.path] = clip_of(scored, job.windows, job.decisions)
    return ComputedScores(clips, failed, summary.cancelled, engine.device.dtype_name, seconds)


def clip_of(scored: Scored, windows: WindowSettings, decisions: DecisionSettings) -> Clip:
    """A clip as `decisions` hear it: without the windows that are silent under them."""
    layout = _layout(scored.values, scored.value_rate_hz, windows)
    heard = [not is_silent(float(level), decisions) for level in scored.levels_dbfs]
    counts = tuple(count if here else 0 for count, here in zip(scored.piece_counts, heard, strict=True))
    logits = scored.logits[np.repeat(heard, scored.piece_counts)]
    return Clip(scored.value_rate_hz, layout, counts, logits)


@functools.lru_cache(maxsize=256)
def _layout(values: int, value_rate_hz: Fraction, windows: WindowSettings) -> Layout:
    return lay_out_ms(values, value_rate_hz, windows.size_ms, windows.stride_ms)
