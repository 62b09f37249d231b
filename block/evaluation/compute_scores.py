"""Get the logits of recordings: from the score store in OUT, or from the model, and then store them there."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from block.evaluation.predictions import Clip
from block.folder.decide import find_score_needs
from block.folder.executor import FolderRun, label_folder
from block.folder.listing import show_path
from block.folder.location import LocalFolder
from block.folder.manifest import load_manifest
from block.folder.output_folder import SCORES
from block.folder.source import is_unchanged
from block.formatting import count, print_warning
from block.labeling.interfaces import Summary
from block.labeling.job import suggest_speedups
from block.labeling.progress import Progress, TimeBudget
from block.score_store import ScoreStore
from block.score_store.relabel import lay_out_scored, select_heard
from block.settings import SCORE_FUNCTIONS, SettingsError

if TYPE_CHECKING:
    from block.labeling.engine import Engine

FILES = "evaluation-files.json"
NOT_REACHED = "the run ended before this recording"


@dataclass(frozen=True)
class ComputedScores:
    """The clip of each recording by its path, and why the `failed` ones have none. `dtype` is the model's.

    `seconds` is how long computing all of them took; None if OUT already had some.
    """

    clips: dict[str, Clip]
    failed: dict[str, str]
    canceled: bool
    dtype: str
    seconds: float | None = None


def compute_scores(engine: Engine, options: argparse.Namespace, files: Sequence[str], out: Path) -> ComputedScores:
    """Score `files`, paths relative to the folder, with the engine's job, except those with scores in OUT.

    Raise SettingsError or CheckpointError if nothing can start or OUT can't be written.
    """
    job = engine.job
    location = LocalFolder(options.folder)
    known = load_manifest(out / FILES, warn=print_warning)
    entries = known.with_files(files, {}, lambda entry: is_unchanged(location, entry), options.allow_truncated)
    key = job.score_key(engine.device.dtype_name)
    with ScoreStore(out / SCORES, key, job.checkpoint.class_names, print_warning) as store:
        needs = find_score_needs(entries, store, job.decisions, needs_embeddings=job.compute.keep_embeddings)
        ids = needs.unscored
        if len(ids) < len(files):
            known_count = f"{len(files) - len(ids):,} of {count(len(files), 'recording')}"
            print(f"reusing the scores of {known_count}, stored in {show_path(out / SCORES)}", flush=True)
        summary, seconds = Summary(), None
        if ids:
            budget = TimeBudget(options.max_hours, suggest_speedups(job, engine.device.device.type))
            progress = Progress(len(ids), options.verbose, budget=budget)
            progress.each = options.verbose
            run = FolderRun(location, entries, store, allow_truncated=options.allow_truncated, fast=needs.fast)
            started = time.perf_counter()
            summary = label_folder(engine, run, ids, progress).summary
            store.flush()
            if len(ids) == len(files):
                seconds = time.perf_counter() - started
            progress.finish(summary, None)
        try:
            entries.save()
        except OSError as error:
            raise SettingsError(f"--out {out} can't be written: {error.strerror or error}") from None
        clips, failed, errors = {}, {}, [np.zeros(0, np.float32)]
        for entry in entries.entries:
            scored = None if entry.problem or not entry.content else store.find(entry.content)
            if scored is None:
                failed[entry.path] = entry.problem or summary.end_reason or NOT_REACHED
            else:
                layout = lay_out_scored(scored, job.windows)
                heard = select_heard(scored, job.decisions)
                errors.append(scored.errors[:, SCORE_FUNCTIONS.index(job.decisions.score_function)])
                clips[entry.path] = Clip(scored.value_rate_hz, layout, heard.chunk_counts, heard.logits)
    if (windows := int(np.count_nonzero(largest := np.concatenate(errors)))) > 0:
        off = f"up to {largest.max():.4f} off" if np.isfinite(largest).all() else "some of them of unknown error"
        print(
            f"{count(windows, 'window')} of fast mode have scores that aren't exact, {off}; this changes no label at "
            "these thresholds as far as the audit can tell, but may change suggested thresholds by that much"
        )
    return ComputedScores(clips, failed, summary.canceled, engine.device.dtype_name, seconds)
