"""Format the results of a benchmark run as text: one table per checkpoint, and lines for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from bench.audit import FORMULA, WINDOWS
from bench.contenders import TRANSFORMERS
from bench.goals import PEERS, list_goals
from bench.machine import MUCH
from bench.plan import MODEL_WINDOW_MS
from bench.results import OnCheckpoint, Rate, Results
from block.formatting import format_duration

LONG_GOAL_MIB = 400 * 1e6 / (1 << 20)


def format_results(results: Results) -> str:
    """Return all results, in lines of at most about 120 characters."""
    parts = [list(_head(results))]
    for on in results.checkpoints:
        parts += [list(_rates(on, results)), list(_runs(on, results)), list(_memory(on)), list(_long_runs(on))]
        parts += [list(_goals(on))] if "gpu" not in results.machine else []
    parts += [list(_starts(results)), list(_long_recording(results)), list(_tail(results))]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as aligned lines: the first column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _head(results: Results) -> Iterator[str]:
    machine = results.machine
    versions = machine.get("versions")
    packages = ", ".join(f"{n} {v}" for n, v in versions.items()) if isinstance(versions, dict) else ""
    yield (
        f"machine: {machine['cpu']}, {machine['cores']} cores, {machine['instruction_set']}, {machine['torch_threads']}"
        f" threads; {machine.get('gpu', 'no GPU')}"
    )
    features = machine.get("features")
    if isinstance(features, list) and features:
        yield f"the CPU's features: {', '.join(features)}"
    if backend := machine.get("backend"):
        yield f"the block's layers: --backend {backend}"
    yield f"software: block {results.version}, Python {machine['python']}, {packages}"
    yield f"audio: {results.audio}"
    peaks = "; ".join(
        f"{peak.dtype} {peak.flops_s / 1e9:,.0f} {'GOP/s' if peak.dtype == 'int8' else 'GFLOP/s'} ({peak.how})"
        for peak in results.peaks.values()
    )
    if peaks:
        yield f"fastest matrix products: {peaks}"


def _rates(on: OnCheckpoint, results: Results) -> Iterator[str]:
    yield (
        f"{on.name}: {on.weights / 1e6:.1f} M weights, {on.tokens} tokens and {on.flops.total / 1e9:.3g} GFLOP per "
        f"padded window, {on.dtype}"
    )
    yield "windows/s (relative to transformers at its best batch size); share of the fastest matrix product's speed"
    lengths = sorted({rate.window_ms for rate in on.rates})
    kinds = list(dict.fromkeys(rate.kind for rate in on.rates))
    ways = sorted({(rate.kind, rate.batch) for rate in on.rates}, key=lambda way: (kinds.index(way[0]), way[1]))
    rows = [["", "batch", *(f"{length / 1000:g} s" for length in lengths), f"share, {MODEL_WINDOW_MS / 1000:g} s"]]
    for kind, batch in ways:
        found = {rate.window_ms: rate for rate in on.rates if (rate.kind, rate.batch) == (kind, batch)}
        at_two = found.get(MODEL_WINDOW_MS)
        share = results.peak_share(at_two) if at_two else None
        reached = f"{share:.0%} {at_two.dtype}" if at_two and share is not None else "–"
        rows.append([name_of(kind), str(batch), *(_cell(on, found.get(length)) for length in lengths), reached])
    yield from align_columns(rows)
    for includes in dict.fromkeys(rate.includes for rate in on.rates):
        named = dict.fromkeys(name_of(rate.kind) for rate in on.rates if rate.includes == includes)
        yield f"  {', '.join(named)}: {includes}"


def name_of(kind: str) -> str:
    """Return a contender's name for readers."""
    return PEERS.get(kind, kind if kind == TRANSFORMERS else f"block {kind}")


def _cell(on: OnCheckpoint, rate: Rate | None) -> str:
    if rate is None:
        return "–"
    if rate.measured_ms != rate.window_ms:
        return f"= {rate.measured_ms / 1000:g} s"
    ratio = on.ratio(rate)
    return f"{rate.windows_s:.3g}" + (f" ({ratio:.2f}×)" if ratio is not None else "")


def _runs(on: OnCheckpoint, results: Results) -> Iterator[str]:
    if not on.runs:
        return
    yield f"{on.name}, end to end from files; seconds per stage, added up over threads"
    stages = list(on.runs[0].stages_s)
    rows = [["", "window", "recordings", "windows", "wall", *stages, "outside forward", "of GEMM bound"]]
    for run in on.runs:
        bound = results.bound_share(on, run)
        rows.append([
            f"block {run.path}", f"{run.window_ms / 1000:g} s", str(run.recordings), str(run.windows),
            f"{run.wall_s:.2f}", *(f"{run.stages_s[stage]:.3f}" for stage in stages), f"{run.outside_share:.1%}",
            "–" if bound is None else f"{bound:.2f}",
        ])  # fmt: skip
    yield from align_columns(rows)
    yield "  outside forward: share of wall time in which the model wasn't computing (goal for exact: at most 5 %)"
    yield f"  of GEMM bound: time to compute padded windows at the peak of {on.dtype}, as a share of wall time"


def _memory(on: OnCheckpoint) -> Iterator[str]:
    if on.memory:
        yield f"{on.name}, peak memory of a separate process, MiB: " + ", ".join(
            f"{name_of(one.what)} {one.mib:,.0f}" + (f" (GPU {one.cuda_mib:,.0f})" if one.cuda_mib is not None else "")
            for one in on.memory
        )


def _long_runs(on: OnCheckpoint) -> Iterator[str]:
    if not on.long_runs:
        return
    yield f"{on.name}, {WINDOWS} windows of {MODEL_WINDOW_MS / 1000:g} s in fast mode with its audit (calculated)"
    rows = [["", "recomputed for margins", "audited", "time", "relative to transformers"]]
    for run in on.long_runs:
        rows.append([
            f"block {run.path}", f"{run.recomputed_share:.0%}", str(run.audited), format_duration(run.seconds),
            f"{run.ratio:.2f}×",
        ])  # fmt: skip
    yield from align_columns(rows)
    yield from wrap(FORMULA, 118, initial_indent="  ", subsequent_indent="  ")


def _goals(on: OnCheckpoint) -> Iterator[str]:
    yield f"{on.name}, goals at {MODEL_WINDOW_MS / 1000:g} s, relative to transformers unless the row names another"
    rows = [["", "reached", "goal", ""]]
    for goal in list_goals(on):
        reached = "–" if goal.reached is None else f"{goal.reached:.2f}×"
        rows.append([goal.what, reached, f"{goal.least:g}×", goal.verdict])
    yield from align_columns(rows)


def _starts(results: Results) -> Iterator[str]:
    if results.starts:
        starts = "; ".join(f"{start.what} {start.seconds:.2f} s" for start in results.starts)
        yield f"start (goal: under 1 s): {starts}"


def _long_recording(results: Results) -> Iterator[str]:
    if len(results.long_recording) < 2:
        return
    short, *longer = results.long_recording
    for one in longer:
        yield (
            f"one recording in windows of 10 s, peak memory: {short.what} {short.mib:,.0f} MiB, {one.what} "
            f"{one.mib:,.0f} MiB, {one.mib - short.mib:,.0f} more (goal: at most {LONG_GOAL_MIB:.0f})"
        )


def _tail(results: Results) -> Iterator[str]:
    for line in results.left_out:
        yield f"left out: {line}"
    yield f"took {format_duration(results.took_s)}"
    if results.others_share is not None and results.others_share > MUCH:
        yield (
            f"warning: other processes took {results.others_share:.0%} of the cores' time, so these results are rough; "
            "run the benchmark again on an idle machine"
        )
