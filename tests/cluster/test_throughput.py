from __future__ import annotations

from block.cluster.report import StageTimes
from block.cluster.throughput import SAY_EVERY_S, Throughput


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def stages(recordings: int = 30) -> StageTimes:
    return StageTimes(
        recordings=recordings, windows=3 * recordings, audio_s=6.0 * recordings, read_s=2.0, prepare_s=1.0, model_s=17.0
    )


def test_every_half_minute_a_line_reports_the_speed_and_the_workers_time_per_stage() -> None:
    clock, said = Clock(), list[str]()
    throughput = Throughput(said.append, clock)
    clock.now += 10
    throughput.add("a", stages(), 0.1)
    assert said == []
    clock.now += SAY_EVERY_S
    throughput.add("b", stages(10), 0.1)
    assert said == [
        "2 workers: 1.0 recordings/s, 3.0 windows/s, 6 times real time; busy: read 10 %, prepare 5 %, model 85 %"
    ]
    clock.now += SAY_EVERY_S
    throughput.add("b", stages(30), 0.1)
    assert said[1].startswith("2 workers: 1.0 recordings/s, 3.0 windows/s")


def test_a_worker_that_is_silent_for_long_is_not_counted() -> None:
    clock, said = Clock(), list[str]()
    throughput = Throughput(said.append, clock)
    throughput.add("a", stages(), 0.1)
    clock.now += 5 * SAY_EVERY_S
    throughput.add("b", stages(), 0.1)
    assert said[-1].startswith("1 worker: ")


def test_the_final_report_has_a_line_for_each_stage_that_took_time() -> None:
    clock = Clock()
    throughput = Throughput(lambda line: None, clock)
    throughput.add("a", stages(40), 0.4)
    clock.now += 34
    assert throughput.report() == [
        "stage read: 40 recordings, 20.0/s while active; 0.06 active on average",
        "stage prepare: 40 recordings, 40.0/s while active; 0.03 active on average",
        "stage model: 120 windows, 7.1/s while active; 0.50 active on average",
        "stage store (driver): 40 recordings, 100.0/s while active; 0.01 active on average",
    ]
