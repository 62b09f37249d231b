"""Draw a scene: its spectrogram, its events, and its labels with both kinds of boundaries.

    python -m bench.scene_figure TABLE PNG [--ambience FILE …] [--folds 4] [--number 1] [--model NAME|DIR]

TABLE and the other options are as in `bench.scenes`; `--number` is the scene's. Needs matplotlib.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.scenes import RATE_HZ, SCENE_S, SCENES, Scene, make_scenes, read_clips, read_mono
from block.api import Labeler
from block.model.checkpoint import EMBEDDED
from block.settings import BOUNDARIES
from block.spectrogram import compute_mel_levels

OTHER = "other"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#444444")
PALETTE_COLORS = 128  # of the PNG, which then has less than half the size of one in full color

Row = tuple[str, list[tuple[float, float, str]]]  # its name, and its spans: start and end in seconds, label


def label_both_ways(scene: Scene, labels: Sequence[str], model: str) -> list[Row]:
    """Return the scene's events, and its labels on a grid and where the sound changes."""
    rows: list[Row] = [("events", [(event.start_s, event.end_s, event.label) for event in scene.events])]
    for boundaries in BOUNDARIES:
        found = Labeler("\n".join(labels), model=model, boundaries=boundaries).label(scene.waveform, RATE_HZ)
        spans = [(one.start, one.end, one.label) for one in found if one.label != OTHER]
        rows.append((f"--boundaries {boundaries}", spans))
    return rows


def draw(scene: Scene, rows: Sequence[Row], path: Path) -> None:
    """Draw the spectrogram above the rows. Raise ImportError without matplotlib, OSError if `path` can't be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(11, 4.6), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    levels = compute_mel_levels(scene.waveform, RATE_HZ)
    above.imshow(levels, origin="lower", aspect="auto", extent=(0, SCENE_S, 0, len(levels)), cmap="magma")
    above.set_yticks([])
    above.set_ylabel("mel bands")
    names = sorted({label for _, spans in rows for *_, label in spans})
    for at, (_, spans) in enumerate(rows):
        for start, end, label in spans:
            _draw_span(below, len(rows) - 1 - at, start, end, label, COLORS[names.index(label) % len(COLORS)])
    for event in scene.events:
        for axes in (above, below):
            for border in (event.start_s, event.end_s):
                axes.axvline(border, color="0.6", linewidth=0.5, linestyle=":")
    below.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    below.set_ylim(-0.6, len(rows) - 0.4)
    below.set_xlim(0, SCENE_S)
    below.set_xlabel("seconds")
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.quantize(PALETTE_COLORS).save(path, optimize=True)


def _draw_span(axes: Any, row: int, start: float, end: float, label: str, color: str) -> None:
    axes.barh(row, end - start, left=start, height=0.7, color=color)
    if end - start > 1:
        short = label.split(",")[0]
        axes.text((start + end) / 2, row, short, ha="center", va="center", fontsize=7, color="white", clip_on=True)


def main() -> int:
    """Draw a scene. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.scene_figure", description="Draw a scene with its labels.")
    parser.add_argument("table", type=Path, metavar="TABLE", help="CSV file with the columns file, fold and label")
    parser.add_argument("png", type=Path, metavar="PNG", help="file to write")
    parser.add_argument("--folds", default="4", help="folds whose clips to use (default: %(default)s)")
    parser.add_argument("--ambience", type=Path, nargs="*", default=[], metavar="FILE", help="sounds to put below")
    parser.add_argument("--number", type=int, default=1, help="number of the scene (default: %(default)s)")
    parser.add_argument("--model", default=EMBEDDED, metavar="NAME|DIR", help="default: %(default)s")
    options = parser.parse_args()
    clips = read_clips(options.table, [int(fold) for fold in options.folds.split(",")])
    scenes = make_scenes(clips, [read_mono(path) for path in options.ambience], SCENES)
    scene = next(one for number, one in enumerate(scenes) if number == options.number)
    labels = sorted({clip.label for clip in clips})
    draw(scene, label_both_ways(scene, labels, options.model), options.png)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
