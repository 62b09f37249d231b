"""One test for each row of the fault table. The block runs in this process, with a stub model and short timeouts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from block.cli import SettingsError, StudioError
from block.commands import NOTHING_STARTED, transform
from block.edge_impulse.client import StudioClient
from block.edge_impulse.retries import RetryPolicy, Timeouts
from tests.conftest import EMBEDDED
from tests.faults.layer import Fault, Layer, in_front_of
from tests.faults.outcome import Outcome, problems
from tests.faults.row import Row, Times
from tests.faults.rows import ROWS
from tests.faults.stage import LENGTHS_S, Stage, State, staged
from tests.stub import engine

ARGUMENTS = ("--model", str(EMBEDDED), "--win-size-ms", "500", "--win-stride-ms", "500")


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Stage, Layer, Times, int | None], Outcome]:
    """Run the block through a fault layer, like transform.py but with other timeouts and a stub model."""
    monkeypatch.setitem(sys.modules, "block.labeling.engine", engine)

    def run(stage: Stage, layer: Layer, times: Times, job: int | None = None) -> Outcome:
        retries = RetryPolicy(first_wait_s=times.first_wait_s, longest_wait_s=0.5, outage_s=times.outage_s)
        timeouts = Timeouts(connect_s=times.read_s, read_s=times.read_s)
        monkeypatch.setattr(
            "block.commands.transform.StudioClient", partial(StudioClient, retries=retries, timeouts=timeouts)
        )
        monkeypatch.setenv("EI_API_ENDPOINT", layer.endpoint)
        monkeypatch.setenv("EI_PROJECT_API_KEY", stage.address.key)
        ids, failed = tmp_path / "ids.json", tmp_path / "failed.json"
        ids.write_text(json.dumps(stage.ids))
        arguments = [*ARGUMENTS, "--data-ids-file", str(ids), "--failed-ids-file", str(failed)]
        arguments += [] if job is None else ["--propose-actions", str(job)]
        capsys.readouterr()
        ending = ""
        try:
            code = transform.run_action(arguments)
        except (StudioError, SettingsError) as error:
            code, ending = NOTHING_STARTED, f"error: {error}\n"
        unlabeled = tuple(json.loads(failed.read_text())["ids"]) if failed.exists() else None
        return Outcome(code, capsys.readouterr().out + ending, unlabeled)

    return run


@pytest.fixture(scope="module")
def studio() -> Iterator[Callable[..., AbstractContextManager[Stage]]]:
    """Like `staged`, but close the local Studio in the background, because that takes 0.2 s per test."""
    with ThreadPoolExecutor(4) as pool:
        closing = []

        @contextmanager
        def studio(folder: Path, lengths_s: tuple[float, ...]) -> Iterator[Stage]:
            stage = staged(folder, lengths_s)
            try:
                yield stage.__enter__()
            finally:
                closing.append(pool.submit(stage.__exit__, None, None, None))

        yield studio
        for one in closing:
            one.result()


Undisturbed = Callable[[tuple[float, ...], int | None], dict[int, State]]


@pytest.fixture(scope="module")
def states_cache() -> dict[tuple[tuple[float, ...], int | None], dict[int, State]]:
    return {}


@pytest.fixture
def undisturbed(
    states_cache: dict[tuple[tuple[float, ...], int | None], dict[int, State]],
    tmp_path: Path,
    studio: Callable[..., AbstractContextManager[Stage]],
    run: Callable[..., Outcome],
) -> Undisturbed:
    """Return what Studio has stored after a run without faults. Each project is run only once."""

    def undisturbed(lengths_s: tuple[float, ...], job: int | None) -> dict[int, State]:
        if (lengths_s, job) not in states_cache:
            with studio(tmp_path / "undisturbed", lengths_s) as stage, in_front_of(stage.address.port) as layer:
                outcome = run(stage, layer, Times(10, 1, 10, 1, 1), job)
                assert outcome.code == 0, outcome.output
                states_cache[lengths_s, job] = stage.states(job)
        return states_cache[lengths_s, job]

    return undisturbed


# Rows that take several seconds, because the block has to wait.
LONG = (
    "studio-stops-answering-during-the-run",
    "studio-goes-down-during-the-run-and-stays-down",
    "a-download-of-192-kb-takes-90-s-at-a-steady-rate",
)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.slug, marks=[pytest.mark.slow] if row.slug in LONG else []) for row in ROWS],
)
def test_a_fault_has_the_outcome_in_the_table(
    row: Row,
    tmp_path: Path,
    studio: Callable[..., AbstractContextManager[Stage]],
    run: Callable[..., Outcome],
    undisturbed: Undisturbed,
) -> None:
    expected = undisturbed(row.lengths_s, row.job)
    times = row.short()
    with (
        studio(tmp_path / "audio", row.lengths_s) as stage,
        in_front_of(stage.address.port, row.faults(times), stage.delete) as layer,
    ):
        before = stage.states(row.job)
        outcome = run(stage, layer, times, row.job)
        found = problems(row, outcome, layer, stage.address.key, before, expected, stage.states(row.job))
    assert not found, "\n".join([*found, outcome.output])


def test_each_recording_gets_different_labels(undisturbed: Undisturbed) -> None:
    states = undisturbed(LENGTHS_S, None)
    assert all(state.labels and state.metadata for state in states.values())
    assert len({state.labels for state in states.values()}) == len(states)


def test_row_names_are_unique() -> None:
    assert len({row.slug for row in ROWS}) == len(ROWS)


@pytest.mark.slow
def test_a_retry_after_header_pauses_all_threads(tmp_path: Path, run: Callable[..., Outcome]) -> None:
    from tests.faults import effects

    fault = Fault(effects.refuses(429, "busy", Retry_After="1"), ("get-sample",), times=1, since=10)
    with staged(tmp_path / "audio", (0.5,) * 40) as stage, in_front_of(stage.address.port, [fault]) as layer:
        assert run(stage, layer, Times(10, 0.01, 10, 1, 1)).code == 0
        refused = [one.at_s for one in layer.requests if one.call == "get-sample"][9]
    # Each of the twelve threads has at most one request open. Once it is answered, the thread must not send another.
    after = [one.at_s - refused for one in layer.requests if refused < one.at_s < refused + 0.95]
    assert len(after) <= 16
