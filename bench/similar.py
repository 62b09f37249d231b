"""Measure how well and how fast similar sounds are found: python -m bench.similar --audio DIR [--model NAME|DIR]

DIR has esc10.csv (file, fold, label) and the clips that it names. The model must not have heard those of the fold
`--unheard`; it may have heard the others.

A simulated person looks for one class. From one clip on, the page asks for ten verdicts, always on the window that it
shows first: the most similar one and, as every third, one that the verdicts say little about. esc10.csv gives the
verdicts. In the first column, the page asks about clips of the other folds, and all clips of the unheard fold are
ranked then: how many of the eight and of the ten most similar ones are of the class, of which there are eight. In the
second one, the person has only the unheard fold: how many of ten verdicts were yes, and how many of the clips ranked
next are of the class, among as many as are left. Both are means over all clips to start from. A class reaches the goal
if 80 % of the eight most similar clips are right.

The time is that of one page: ten verdicts, and 10,000 windows of 1,000 recordings.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import mean, median

import numpy as np
import numpy.typing as npt
import soundfile

from block.audio import decode
from block.cli import exit_with
from block.edge_impulse.run_record import RunRecord
from block.labeling.labeler import ExactLabeler
from block.labels import parse_labels
from block.local_studio.data.examples import Example, SoundSpan
from block.local_studio.data.similarity import Vectors, normalize
from block.local_studio.jobs.kept_scores import JobScores
from block.local_studio.jobs.sound_index import SoundIndex, build_index
from block.local_studio.jobs.sound_search import SoundSearch
from block.model.checkpoint import EMBEDDED, find_checkpoint
from block.model.classifier import Classifier
from block.model.device import choose_device
from block.model.extractor import CheckpointFeatures
from block.recording import Recording
from block.score_store import Key, Scored, ScoreStore
from block.settings import REPLACE, AuditSettings, ComputeSettings, DecisionSettings, SettingsError, WindowSettings

VERDICTS = 10
GOAL = 0.8  # of the eight most similar clips
WINDOWS, RECORDINGS, TURNS = 10_000, 1_000, 9
CLIP = 1  # a clip counts as one window of one value


@dataclass(frozen=True, eq=False)
class Clips:
    """ESC-10: the vectors of all clips, shape `(clips, size)`, and their labels and folds, shape `(clips,)`."""

    vectors: Vectors
    labels: npt.NDArray[np.str_]
    folds: npt.NDArray[np.int64]

    def search(self, verdicts: Sequence[tuple[int, bool]], start: int, chosen: npt.NDArray[np.bool_]) -> SoundSearch:
        """Return the search for what is like clip `start` among the `chosen` ones. Clips have the ids of their places.

        Clips that verdicts are about count whether they are chosen or not.
        """
        known = chosen.copy()
        known[[start, *(at for at, _ in verdicts)]] = True
        at = np.flatnonzero(known)
        index = SoundIndex(at, np.zeros_like(at), np.ones_like(at), self.vectors[at])
        examples = [Example(SoundSpan(clip, 0, CLIP), is_like) for clip, is_like in verdicts]
        return SoundSearch(index, SoundSpan(start, 0, CLIP), examples)

    def ask(self, start: int, chosen: npt.NDArray[np.bool_]) -> list[tuple[int, bool]]:
        """Return ten verdicts on chosen clips, always on what the page shows first, and whether they are yes."""
        verdicts: list[tuple[int, bool]] = []
        while len(verdicts) < VERDICTS:
            shown = [one.span.sample_id for one in self.search(verdicts, start, chosen).find_candidates(1)]
            if not shown:
                break
            verdicts.append((shown[0], bool(self.labels[shown[0]] == self.labels[start])))
        return verdicts

    def rank(
        self, verdicts: Sequence[tuple[int, bool]], start: int, chosen: npt.NDArray[np.bool_], count: int
    ) -> list[bool]:
        """Return whether each of the `count` most similar chosen clips without a verdict is of the class."""
        heard = {start, *(at for at, _ in verdicts)}
        search = self.search(verdicts, start, chosen)
        ranked = search.rank_recordings()
        found = [at for at in ranked if chosen[at] and at not in heard]
        return [bool(self.labels[at] == self.labels[start]) for at in found[:count]]


def main(argv: Sequence[str]) -> int:
    """Print the table and the times. Return the exit code; raise SettingsError or CheckpointError."""
    parser = argparse.ArgumentParser(prog="python -m bench.similar", allow_abbrev=False, description=__doc__)
    parser.add_argument("--audio", type=Path, metavar="DIR", help="folder with esc10.csv; without it, only the times")
    parser.add_argument("--model", default=EMBEDDED, metavar="NAME|DIR", help="default: %(default)s")
    parser.add_argument("--unheard", type=int, default=4, metavar="FOLD", help="default: %(default)s")
    options = parser.parse_args(argv)
    if options.audio is not None:
        print_quality(embed_clips(options.audio, options.model), options.unheard)
    for size in (192, 768):
        print_times(size)
    return 0


def embed_clips(audio: Path, model: str) -> Clips:
    """Return the embeddings of all clips, each scored as a whole."""
    try:
        with (audio / "esc10.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise SettingsError(f"--audio {audio}: esc10.csv can't be read: {error.strerror or error}") from None
    checkpoint, device = find_checkpoint(model), choose_device(ComputeSettings("cpu"))
    classifier = Classifier(checkpoint, device, keep_embeddings=True)
    settings = DecisionSettings(parse_labels("Speech", checkpoint.class_names, 0.5))
    features = CheckpointFeatures(checkpoint, device.device, print)
    labeler = ExactLabeler(classifier, features, WindowSettings(0, 0), settings, print)
    found = []
    for number, row in enumerate(rows):
        values, rate_hz = soundfile.read(audio / row["file"], dtype="float32")
        wav = io.BytesIO()
        soundfile.write(wav, values, rate_hz, format="WAV", subtype="FLOAT")
        read = decode(wav.getvalue())
        recording = Recording(number, row["file"], read.rate_hz, read.positions, read.waveform, ratio=read.ratio)
        prepared = labeler.prepare(recording)
        outputs = labeler.compute_outputs([(prepared.waveform, chunk) for chunk in prepared.chunks])
        found.append(outputs[:, len(checkpoint.class_names) :].mean(axis=0))
    # As stored.
    vectors = normalize(np.array(found).astype(np.float16))
    return Clips(vectors, np.array([row["label"] for row in rows]), np.array([int(row["fold"]) for row in rows]))


def print_quality(clips: Clips, fold: int) -> None:
    """Print what ten verdicts find, per class."""
    unheard = clips.folds == fold
    print(f"ten verdicts, then the most similar of {int(unheard.sum())} clips that the model hasn't heard, fold {fold}")
    print(f"{'class':28}  of 8  of 10 | yes of 10  right of those left next")
    table = []
    for name in np.unique(clips.labels):
        starts = np.flatnonzero((clips.labels == name) & ~unheard)
        ranks = [clips.rank(clips.ask(int(at), ~unheard), int(at), unheard, 10) for at in starts]
        own = []
        for at in np.flatnonzero((clips.labels == name) & unheard):
            verdicts = clips.ask(int(at), unheard)
            yes = sum(is_like for _, is_like in verdicts)
            left = int(((clips.labels == name) & unheard).sum()) - 1 - yes
            own.append((yes, sum(clips.rank(verdicts, int(at), unheard, left)), left))
        row = (mean(sum(one[:8]) for one in ranks), mean(sum(one) for one in ranks), mean(one[0] for one in own))
        right, left_all = sum(one[1] for one in own), sum(one[2] for one in own)
        table.append(row)
        print(f"{name:28}  {row[0]:4.1f}  {row[1]:5.1f} | {row[2]:4.1f} of 7  {right} of {left_all}")
    means = [mean(column) for column in zip(*table, strict=True)]
    print(f"{'mean':28}  {means[0]:4.1f}  {means[1]:5.1f} | {means[2]:4.1f} of 7")
    reached = sum(row[0] >= GOAL * 8 for row in table)
    print(f"{means[0] / 8:.0%} of the 8 are right; {reached} of {len(table)} classes reach {GOAL:.0%}", flush=True)


def print_times(size: int) -> None:
    """Print how long a search takes among windows with embeddings of `size` values."""
    key = Key("ab" * 32, WindowSettings(1000, 1000), "pad", "exact", "float32")
    record = RunRecord(key, DecisionSettings(()), AuditSettings(), "random", REPLACE, False)
    rng, each = np.random.default_rng(0), WINDOWS // RECORDINGS
    names = [f"class {number}" for number in range(527)]
    with tempfile.TemporaryDirectory(prefix="block-bench-similar-") as folder:
        contents = {number: hashlib.sha256(str(number).encode()).hexdigest() for number in range(RECORDINGS)}
        with ScoreStore(Path(folder), key, names) as store:
            for content in contents.values():
                logits = rng.normal(0, 1, (each, len(names))).astype(np.float32)
                embeddings = rng.normal(0, 1, (each, size)).astype(np.float16)
                levels = np.zeros(each, np.float32)
                store.add(
                    Scored(content, 16000 * each, Fraction(16000), (1,) * each, levels, logits, embeddings=embeddings)
                )
        stored = sum(path.stat().st_size for path in Path(folder).iterdir())
        started = time.perf_counter()
        index = build_index(JobScores(record, contents, ScoreStore.open_read_only(Path(folder), key)))
        loaded_s = time.perf_counter() - started
    examples = [Example(index.span(at * 100), at % 2 == 0) for at in range(1, VERDICTS + 1)]
    times = []
    for _ in range(TURNS):
        started = time.perf_counter()
        search = SoundSearch(index, index.span(0), examples)
        search.find_candidates(12), search.precision, search.find_like()
        times.append(time.perf_counter() - started)
    print(
        f"{len(index):,} windows, embeddings of {size}: the first search loads {stored / 1e6:.0f} MB in "
        f"{loaded_s:.2f} s; each search takes {median(times) * 1000:.0f} ms, at most {max(times) * 1000:.0f} ms",
        flush=True,
    )


if __name__ == "__main__":
    exit_with(main, sys.argv[1:], "python -m bench.similar")
