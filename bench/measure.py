"""One run of the benchmark. A part that fails is left out, with the reason, and doesn't end the run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import exported, gemm, inputs, memory, stages, start
from bench.audit import RECOMPUTED_SHARES, compute_long_run
from bench.contenders import TRANSFORMERS, Contender, Field, computes_padding
from bench.flops import Shape, count_flops, read_shape
from bench.machine import INSTALL
from bench.plan import MODEL_WINDOW_MS, SMALL_FLOPS, BenchError, Clock, Effort, Plan
from bench.results import OnCheckpoint, Rate, Results
from bench.timing import Turn, take_turns
from block.model.checkpoint import Checkpoint
from block.model.classifier import FEWER_GROUPS, MERGED_INT8
from block.model.device import Device
from block.model.safetensors_header import read_shapes
from block.settings import EXACT, ComputeSettings

EXPORTED = ("onnxruntime", "openvino")
MEMORY_S = 25  # the least time to allow for a process that imports torch and computes a few windows
MOST_WINDOWS, MOST_TURN_WINDOWS = 20000, 256
LONG_S = {"one minute": 60, "one hour": 3600}
LONG_RATES_HZ = (16000, 44100)
Way = tuple[str, int]  # a contender: its kind and its batch


@dataclass
class Measure:
    """What the parts of one run share.

    `compute` is what the user asked for. Generated files go to the folder `scratch`, or to `work` if the next run can
    reuse them; `say` prints progress.
    """

    plan: Plan
    clock: Clock
    device: Device
    compute: ComputeSettings
    recordings: Sequence[Path]
    scratch: Path
    work: Path
    results: Results
    say: Callable[[str], None]

    def starts(self) -> None:
        """Measure how long transform.py takes to start."""
        with self._part("start"):
            self.results.starts = start.measure()

    def peaks(self) -> None:
        """Measure the machine's peaks once more, and keep the highest."""
        for dtype, peak in gemm.measure(self.device.device).items():
            self.results.peaks[dtype] = gemm.higher(self.results.peaks.get(dtype), peak)

    def checkpoint(self, checkpoint: Checkpoint, keep_s: float) -> None:
        """Measure everything on one checkpoint, and leave `keep_s` seconds for what comes after it."""
        sizes = _sizes(checkpoint)
        weights = sum(math.prod(one) for one in read_shapes(checkpoint.weights).values())
        on = OnCheckpoint(checkpoint.name, weights, sizes.tokens, count_flops(sizes), self.device.dtype_name)
        self.results.checkpoints.append(on)
        effort = self.plan.small if on.flops.total < SMALL_FLOPS else self.plan.large
        field = Field(checkpoint, self.device, self.work / f"{checkpoint.name}.onnx")
        self._rates(on, field, effort, keep_s)
        self._long_runs(on, field)
        self._end_to_end(on, field, effort, keep_s)
        self._memory(on, field, keep_s)

    def long_recording(self, checkpoint: Checkpoint) -> None:
        """Measure the peak memory of labeling one minute and one hour, at each rate."""
        if not self.plan.hour:
            return self._leave_out("peak memory of an hour and a minute: not in this plan")
        with self._part("peak memory of an hour and a minute"):
            for length, seconds in LONG_S.items():
                for rate_hz in LONG_RATES_HZ:
                    recording = self.scratch / "long.wav"
                    inputs.write_recording(recording, seconds, rate_hz, seed=0)
                    title = f"{length} at {rate_hz / 1000:g} kHz"
                    self.say(f"peak memory: {title}")
                    self.results.long_recording.append(memory.measure_recording(
                        title, checkpoint.folder, recording, self._resolved, self._patience()
                    ))  # fmt: skip
                    recording.unlink()
        return None

    def _rates(self, on: OnCheckpoint, field: Field, effort: Effort, keep_s: float) -> None:
        # If time runs short, the last contenders are left out first.
        ways = [(TRANSFORMERS, 1), *((path, effort.own_batch) for path in field.paths)]
        ways += [(TRANSFORMERS, batch) for batch in self.plan.batches if batch > 1]
        for kind in EXPORTED:
            if not self.plan.exported:
                self._leave_out(f"{kind}: not in this plan")
            elif missing := exported.find_missing(kind):
                self._leave_out(f"{kind}: {', '.join(missing)} not installed; {INSTALL}")
            else:
                ways += [(kind, batch) for batch in self.plan.exported]
        self._measure_window(on, field, effort, ways, MODEL_WINDOW_MS, keep_s, effort.later_s)
        best = {(rate.kind, rate.batch) for kind, _ in ways if (rate := on.rate(kind)) is not None}
        again = [way for way in ways if way in best or way == (TRANSFORMERS, 1)]
        if not effort.every_length:
            again = [way for way in again if not computes_padding(way[0])]
        for window_ms in self.plan.window_ms:
            if window_ms == MODEL_WINDOW_MS:
                continue
            self._measure_window(on, field, effort, again, window_ms, keep_s)
            if not effort.every_length:
                at_two = [
                    rate for rate in on.rates if rate.window_ms == MODEL_WINDOW_MS and computes_padding(rate.kind)
                ]
                on.rates += [replace(rate, window_ms=window_ms) for rate in at_two]

    def _measure_window(
        self, on: OnCheckpoint, field: Field, effort: Effort, ways: Sequence[Way], window_ms: int, keep_s: float,
        later_s: float = 0.0,
    ) -> None:  # fmt: skip
        named = f"windows of {window_ms / 1000:g} s on {on.name}"
        self.say(named)
        front_end = field.checkpoint.front_end
        values = min(window_ms * front_end.rate_hz // 1000, front_end.limit_values)
        recorded = front_end.count_frames(values)
        twins = {path: twin for path, twin in field.classifier.find_twins([recorded]).items() if path != twin}
        for path, twin in twins.items():
            self._leave_out(f"{named}: {path} computes the same as {twin}")
        contenders: list[Contender] = []
        for kind, batch in ways:
            if kind in twins:
                continue
            with self._part(f"{kind}, batch {batch}, on {on.name}"):
                contenders.append(field.contender(kind, batch))
        windows = inputs.cut_windows(self.recordings, values, MOST_TURN_WINDOWS, front_end.rate_hz)
        turns = [
            Turn(lambda count, run=one.run: run(windows[:count]), one.batch, len(windows))  # type: ignore[misc]
            for one in contenders
        ]
        self.peaks()
        spreads = take_turns(turns, effort.rounds, effort.turn_s, lambda: self.clock.left() - keep_s, later_s)
        self.peaks()
        sizes = _sizes(field.checkpoint)
        without = [one for one, spread in zip(contenders, spreads, strict=True) if spread is None]
        if without:
            names = ", ".join(f"{one.kind} (batch {one.batch})" for one in without)
            self._leave_out(f"{named}: no time left for {names}")
        for contender, spread in zip(contenders, spreads, strict=True):
            if spread is None:
                continue
            own = contender.kind in field.paths
            tokens = field.classifier.count_tokens(recorded, contender.kind) if own else sizes.tokens
            on.rates.append(Rate(
                contender.kind, contender.batch, contender.includes, window_ms, window_ms, spread,
                count_flops(sizes, tokens, prunes=own).total,
                "int8" if FEWER_GROUPS.get(contender.kind, contender.kind) == MERGED_INT8 else on.dtype,
            ))  # fmt: skip

    def _long_runs(self, on: OnCheckpoint, field: Field) -> None:
        exact, peer = on.rate(EXACT), on.rate(TRANSFORMERS)
        fast = [rate for path in field.paths if path != EXACT and (rate := on.rate(path)) is not None]
        if exact is None or peer is None or not fast:
            return
        for rate in fast:
            others_s = sum(other.seconds.median for other in fast if other is not rate)
            on.long_runs += [
                compute_long_run(
                    rate.kind, rate.seconds.median, exact.seconds.median, peer.seconds.median, others_s, share
                )
                for share in RECOMPUTED_SHARES
            ]

    def _end_to_end(self, on: OnCheckpoint, field: Field, effort: Effort, keep_s: float) -> None:
        name = f"end to end from files on {on.name}"
        without = []
        for path in (one for one in field.paths if one not in FEWER_GROUPS):
            rate = on.rate(path)
            time_s = min(effort.end_to_end_s, self.clock.left() - keep_s)
            windows = 0 if rate is None else min(MOST_WINDOWS, int(time_s * rate.windows_s))
            if windows < 1:
                without.append(path)
                continue
            self.say(f"{name}: {path}")
            with self._part(f"{name}: {path}"):
                count, write_to = stages.count_for(self.recordings, windows), self.scratch / "labels.jsonl"
                on.runs.append(stages.measure(field.classifier, self.recordings, count, write_to, path=path))
        if without:
            self._leave_out(f"{name}: no time left for {', '.join(without)}")

    def _memory(self, on: OnCheckpoint, field: Field, keep_s: float) -> None:
        name = f"peak memory on {on.name}"
        best = on.rate(TRANSFORMERS)
        kinds = [(TRANSFORMERS, best.batch)] if best is not None else []
        kinds += [(path, field.classifier.batch_windows) for path in field.paths if path not in FEWER_GROUPS]
        kinds += [(kind, rate.batch) for kind in EXPORTED if (rate := on.rate(kind)) is not None]
        without = []
        for kind, batch in kinds:
            if self.clock.left() - keep_s < MEMORY_S:
                without.append(kind)
                continue
            self.say(f"{name}: {kind}")
            with self._part(f"{name}: {kind}"):
                on.memory.append(memory.measure_contender(
                    kind, field.checkpoint.folder, batch, self.recordings[-1], self._resolved, field.export_to,
                    self._patience(),
                ))  # fmt: skip
        if without:
            self._leave_out(f"{name}: no time left for {', '.join(without)}")

    @property
    def _resolved(self) -> ComputeSettings:
        return replace(self.compute, dtype=self.device.dtype_name)

    def _patience(self) -> float:
        return max(MEMORY_S, self.clock.left())

    def _leave_out(self, line: str) -> None:
        if line not in self.results.left_out:
            self.results.left_out.append(line)

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        try:
            yield
        except BenchError as error:
            self._leave_out(f"{name}: {error}")


def _sizes(checkpoint: Checkpoint) -> Shape:
    return read_shape(json.loads((checkpoint.folder / "config.json").read_text(encoding="utf-8")))
