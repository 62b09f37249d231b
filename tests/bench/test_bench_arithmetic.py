"""Check the benchmark's arithmetic: operations per window, turns, and the calculated long run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import ASTForAudioClassification

from bench.audit import compute_long_run, count_audited
from bench.flops import count_flops, read_shape
from bench.plan import QUICK, Clock
from bench.stages import count_for
from bench.timing import Turn, take_turns
from block.model.forward import Forward


def count_with_pytorch(run: Callable[[], object]) -> int:
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def load(folder: Path) -> tuple[ASTForAudioClassification, dict[str, object]]:
    model = ASTForAudioClassification.from_pretrained(folder, attn_implementation="eager").eval()
    return model, json.loads((folder / "config.json").read_text())


def test_operations_match_pytorchs_count(checkpoint_folder: Path) -> None:
    model, config = load(checkpoint_folder)
    inputs = torch.zeros(1, 1024, 128)
    assert count_flops(read_shape(config)).total == count_with_pytorch(lambda: model(input_values=inputs))


def test_operations_of_the_block_match_pytorchs_count(checkpoint_folder: Path) -> None:
    model, config = load(checkpoint_folder)
    forward, inputs = Forward(model), torch.zeros(1, 1024, 128)
    forward.encoder.splits_heads = False  # PyTorch doesn't count oneDNN's products
    sizes = read_shape(config)
    assert count_flops(sizes, prunes=True).total == count_with_pytorch(lambda: forward(inputs))
    with torch.inference_mode():
        merged = forward.merge_padding(12, 8, 0.0)
    fewer = count_flops(sizes, merged.count, prunes=True)
    # Padding patches are embedded once, in advance, so the rest is slightly less.
    assert fewer.linear + fewer.attention < count_with_pytorch(lambda: forward(inputs, merged)) <= fewer.total


def test_a_window_of_the_full_size_model_takes_260_gflop() -> None:
    sizes = read_shape({"id2label": dict.fromkeys(range(527))})
    assert sizes.tokens == 1214
    assert count_flops(sizes).total == pytest.approx(261e9, rel=0.005)
    assert count_flops(sizes).linear == pytest.approx(206e9, rel=0.005)
    assert count_flops(sizes, prunes=True).total / count_flops(sizes).total == pytest.approx(0.93, abs=0.01)


class Contenders:
    """Contenders and a clock that they advance by their seconds per window."""

    def __init__(self, **seconds: float) -> None:
        self.now = 0.0
        self.ran: list[tuple[str, int]] = []
        self.seconds = seconds

    def turn(self, name: str, batch: int = 1, most: int = 100) -> Turn:
        def run(count: int) -> None:
            self.ran.append((name, count))
            self.now += self.seconds[name] * count

        return Turn(run, batch, most)

    def clock(self) -> float:
        return self.now


def test_contenders_take_turns_of_equal_length() -> None:
    contenders = Contenders(slow=2.0, fast=0.25)
    turns = [contenders.turn("slow"), contenders.turn("fast", batch=2)]
    slow, fast = take_turns(turns, 2, 4.0, lambda: 1e9, clock=contenders.clock)
    assert contenders.ran[:4] == [("slow", 1), ("fast", 2), ("slow", 1), ("slow", 1)]
    assert contenders.ran[4:8] == [("fast", 4)] * 4
    assert contenders.ran[8:] == contenders.ran[2:8]
    assert slow is not None
    assert fast is not None
    assert slow.seconds == (2.0, 2.0)
    assert fast.seconds == (0.25, 0.25)


def test_a_turn_is_at_least_one_batch_and_a_call_has_no_more_windows_than_there_are() -> None:
    contenders = Contenders(slow=10.0, fast=0.001)
    take_turns(
        [contenders.turn("slow", batch=4), contenders.turn("fast", batch=4, most=50)],
        1,
        1.0,
        lambda: 1e9,
        clock=contenders.clock,
    )
    assert contenders.ran[2:4] == [("slow", 4), ("fast", 48)]


def test_a_turn_ends_in_time_if_the_machine_gets_slower() -> None:
    contenders = Contenders(one=0.01)

    def run(count: int) -> None:
        contenders.turn("one").run(count)
        contenders.seconds["one"] = 1.0

    (spread,) = take_turns([Turn(run, 1, 1000)], 1, 2.0, lambda: 1e9, clock=contenders.clock)
    assert spread is not None
    assert spread.seconds == (1.0,)
    assert contenders.ran[1:] == [("one", 50)]


def test_a_round_that_would_not_leave_enough_time_is_not_started() -> None:
    contenders = Contenders(one=1.0)
    (spread,) = take_turns(
        [contenders.turn("one")], 5, 1.0, lambda: 10 - contenders.now, later_s=6.5, clock=contenders.clock
    )
    assert spread is not None
    assert len(spread.seconds) == 2  # 1 s to warm up, and 2 s of 10: another would leave 6


def test_a_contender_without_time_is_left_out() -> None:
    contenders = Contenders(one=4.0, other=4.0)
    turns = [contenders.turn("one"), contenders.turn("other", batch=2)]
    spreads = take_turns(turns, 3, 1.0, lambda: 10 - contenders.now, clock=contenders.clock)
    assert [spread is None for spread in spreads] == [False, True]


def test_the_clock_returns_the_time_left() -> None:
    now = [100.0]
    clock = Clock(QUICK.limit_s, lambda: now[0])
    now[0] += 50
    assert clock.spent() == 50
    assert clock.left() == QUICK.limit_s - 50


def test_the_quick_plan_stays_within_four_minutes() -> None:
    assert QUICK.limit_s <= 230
    assert QUICK.keep_s < QUICK.limit_s


@pytest.mark.parametrize(("windows", "audited"), [(0, 0), (10, 10), (40, 40), (500, 40), (600, 43), (5000, 162)])
def test_the_audit_covers_40_windows_of_the_first_block_and_2_7_percent_of_the_rest(windows: int, audited: int) -> None:
    assert count_audited(windows) == audited


def test_a_long_run_takes_the_time_of_its_windows_its_audit_and_recomputation() -> None:
    run = compute_long_run("merged", fast_s=0.1, exact_s=1.0, transformers_s=2.0, others_s=0.05, recomputed_share=0.02)
    assert run.seconds == pytest.approx(5000 * 0.1 + 40 * 0.05 + (162 + 0.02 * 4838) * 1.0)
    assert run.ratio == pytest.approx(10000 / run.seconds)


def test_enough_recordings_are_counted_for_the_windows(tmp_path: Path) -> None:
    from bench.inputs import make_recordings

    paths = make_recordings(tmp_path, (2, 4))  # two of 1 window, two of 2
    assert [count_for(paths, windows) for windows in (1, 2, 3, 6, 7, 13)] == [1, 2, 3, 4, 5, 9]
