"""Run the recipe.

    data      decode and generate the sounds, compose the training tracks
    select    train from scratch without ESC-10 fold 4, into WORK/selected
    final     continue from there with fold 4, into OUT, and raise the biases of speech and music
    evaluate  print the figures of both checkpoints
    all       run all four

python models/ast-tiny-audioset/recipe all --audio DIR --teacher FILE --labels DIR --out DIR
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a folder: make the modules a package
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    __package__ = "recipe"

from .bank import build_bank, read_bank
from .labels import read_labels
from .sources import FINAL, TRAIN
from .teacher import Teacher
from .tracks import build_tracks


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = argparse.ArgumentParser(
        prog="recipe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("command", choices=["data", "select", "final", "evaluate", "all"])
    p.add_argument("--audio", type=Path, required=True, help="esc10, effects, game_foley, spoken_digits, scenes, …")
    p.add_argument("--teacher", type=Path, required=True, help="YAMNet as TFLite, with spectra as input")
    p.add_argument("--labels", type=Path, required=True, help="folder with class_labels_indices.csv and ontology.json")
    p.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    p.add_argument("--work", type=Path, default=Path("build/recipe"), help="folder for sounds and tracks")
    p.add_argument("--golden", type=Path, help="an additional recording of speech for the evaluation")
    p.add_argument("--utterances", type=int, default=12, help="utterances per voice")
    p.add_argument("--pieces", type=int, default=320, help="pieces of music")
    p.add_argument("--tracks", type=int, default=400, help="tracks per file")
    p.add_argument("--train-files", type=int, default=20, help="number of track files without fold 4")
    p.add_argument("--final-files", type=int, default=20, help="number of track files with fold 4")
    p.add_argument("--select-steps", type=int, default=2500)
    p.add_argument("--final-steps", type=int, default=2000)
    p.add_argument(
        "--exact-steps", type=int, default=60, help="steps with the exact forward pass at the end of each training"
    )
    p.add_argument("--minutes", type=float, default=1e7, help="time limit for select and for final, each")
    p.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return p


def main() -> None:
    """Run the command."""
    args = parser().parse_args()
    bank, tracks, selected = args.work / "bank.npz", args.work / "tracks", args.work / "selected"
    labels = read_labels(args.labels)
    wanted = ("data", "select", "final", "evaluate") if args.command == "all" else (args.command,)
    if "data" in wanted:
        args.work.mkdir(parents=True, exist_ok=True)
        if not bank.exists():
            build_bank(args.audio, bank, args.utterances, args.pieces, args.workers)
        for split, files in ((TRAIN, args.train_files), (FINAL, args.final_files)):
            build_tracks(bank, args.teacher, args.labels, tracks, split, files, args.tracks, args.workers)
    if "select" in wanted or "final" in wanted:
        from .lift import lift
        from .train import Plan, train
        from .windows import Tracks

        if "select" in wanted:
            plan = Plan(
                args.select_steps, args.exact_steps, peak_rate=1e-3, processes=args.workers, limit_s=60 * args.minutes
            )
            train(Tracks(tracks, labels, f"{TRAIN}-*.npz"), labels, selected, plan)
        if "final" in wanted:
            plan = Plan(
                args.final_steps,
                args.exact_steps,
                peak_rate=7e-4,
                processes=args.workers,
                limit_s=60 * args.minutes,
                seed=8,
            )
            train(Tracks(tracks, labels, "*.npz"), labels, args.out, plan, selected)
            lift(args.out)
            (args.out / "guess.pt").unlink(missing_ok=True)  # only needed to continue training
    if "evaluate" in wanted:
        from .evaluate import evaluate

        for checkpoint, heard in ((selected, False), (args.out, True)):
            if checkpoint.exists():
                print(f"\n{checkpoint}")
                evaluate(checkpoint, args.audio, read_bank(bank), Teacher(args.teacher), args.golden, heard)


if __name__ == "__main__":
    main()
