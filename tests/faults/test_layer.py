"""The fault layer itself: what a client sees of each fault, and that the layer counts requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.faults import effects
from tests.faults.layer import Closed, Fault, Layer, in_front_of
from tests.faults.stage import Stage, staged


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("layer") / "audio", (0.5, 1.0)) as stage:
        yield stage


@pytest.fixture
def get(stage: Stage) -> Callable[..., requests.Response]:
    """Send a GET request through a layer. Pass a session to reuse its connection."""

    def get(
        layer: Layer,
        path: str = "1/raw-data/2/wav?axisIx=0",
        session: requests.Session | None = None,
        timeout_s: float = 30,
    ) -> requests.Response:
        with session or requests.Session() as one:
            one.trust_env = False
            url = f"{layer.endpoint}/api/{path}"
            return one.get(url, headers={"x-api-key": stage.address.key}, timeout=timeout_s, allow_redirects=False)

    return get


def test_without_faults_answers_come_through_unchanged_on_one_connection(
    stage: Stage, get: Callable[..., requests.Response]
) -> None:
    with in_front_of(stage.address.port) as layer, requests.Session() as session:
        assert get(layer, "projects", session).json()["projects"][0]["id"] == 1
        audio = get(layer, session=session)
        assert audio.content == next(stage.project.root.glob("*002.wav")).read_bytes()
        assert audio.headers["Content-Type"] == "audio/wav"
        assert get(layer, "1/raw-data/99").status_code == 404
        sent = session.post(
            f"{layer.endpoint}/api/1/raw-data/1/metadata",
            json={"metadata": {"a": "ü"}}, headers={"x-api-key": stage.address.key}, timeout=30,
        )  # fmt: skip
        assert sent.json() == {"success": True}
    assert dict(stage.states()[1].metadata)["a"] == "ü"
    assert [(one.call, one.sample) for one in layer.requests] == [
        ("projects", None), ("wav", 2), ("get-sample", 99), ("metadata", 1),
    ]  # fmt: skip


def test_a_fault_applies_only_to_its_call_and_sample_and_for_its_number_of_times(
    stage: Stage, get: Callable[..., requests.Response]
) -> None:
    fault = Fault(effects.refuses(503, "busy"), ("wav",), sample=2, times=2, since=2)
    with in_front_of(stage.address.port, [fault]) as layer:
        assert [get(layer).status_code for _ in range(4)] == [200, 503, 503, 200]
        assert get(layer, "1/raw-data/1/wav?axisIx=0").status_code == 200
        assert get(layer, "1/raw-data/2").status_code == 200
        assert (layer.count("wav", 2), layer.count("wav"), layer.count("projects")) == (4, 5, 0)


@pytest.mark.parametrize(
    ("effect", "seen"),
    [
        (effects.resets(), (requests.ConnectionError, "reset by peer|Connection aborted")),
        (effects.resets(carried_out=True), (requests.ConnectionError, "reset by peer|Connection aborted")),
        (effects.resets_in_the_body, (requests.RequestException, "reset by peer")),
        (effects.cuts_short, (requests.exceptions.ChunkedEncodingError, "IncompleteRead")),
        (effects.never_ends_its_chunks, (requests.exceptions.ChunkedEncodingError, "prematurely|Incomplete")),
        (effects.stalls, (requests.exceptions.ConnectionError, "timed out")),
        (effects.keeps_silent, (requests.exceptions.ReadTimeout, "timed out")),
        (effects.talks_nonsense, (requests.exceptions.ConnectionError, "BadStatusLine|Connection aborted")),
        (effects.goes_down(0.0), (requests.exceptions.ConnectionError, "Connection aborted|reset")),
    ],
)
def test_a_broken_answer_raises_an_error_and_the_next_request_works(
    stage: Stage,
    get: Callable[..., requests.Response],
    effect: effects.Effect,
    seen: tuple[type[Exception], str],
) -> None:
    with in_front_of(stage.address.port, [Fault(effect, ("wav",), times=1)]) as layer:
        with pytest.raises(seen[0], match=seen[1]):
            get(layer, timeout_s=0.5)
        for _ in range(100):  # even an outage of 0 s takes a moment to end
            try:
                assert get(layer).status_code == 200
            except requests.ConnectionError:
                time.sleep(0.02)
            else:
                break
        else:
            pytest.fail("it did not come back")


@pytest.mark.parametrize("effect", [effects.resets_after_the_body, effects.closes_after_the_body])
def test_a_connection_that_ends_after_the_body_loses_no_data(
    stage: Stage, get: Callable[..., requests.Response], effect: effects.Effect
) -> None:
    with in_front_of(stage.address.port, [Fault(effect)]) as layer:
        whole = next(stage.project.root.glob("*002.wav")).read_bytes()
        assert [get(layer).content for _ in range(20)] == [whole] * 20


def test_slow_bodies_arrive_complete(stage: Stage, get: Callable[..., requests.Response]) -> None:
    with in_front_of(stage.address.port, [Fault(effects.drips(0.4, 8))]) as layer:
        began = time.monotonic()
        assert len(get(layer).content) == 32044
        assert time.monotonic() - began >= 0.35
    with in_front_of(stage.address.port, [Fault(effects.trickles(0.0))]) as layer:
        assert get(layer, "projects").json()["success"] is True


def test_redirects_point_to_the_right_address_and_the_other_host_records_requests(
    stage: Stage, get: Callable[..., requests.Response]
) -> None:
    faults = [
        Fault(effects.redirects(302, effects.same_address), ("wav",)),
        Fault(effects.redirects(307, effects.another_host), ("read-again",)),
    ]
    with in_front_of(stage.address.port, faults) as layer:
        assert get(layer).headers["Location"] == "/v1/api/1/raw-data/2/wav?axisIx=0"
        location = get(layer, "1/raw-data/2").headers["Location"]
        assert location == f"{layer.elsewhere.url}/v1/api/1/raw-data/2"
        assert layer.elsewhere.heard == []
        with requests.Session() as session:
            session.trust_env = False
            session.get(location, headers={"x-api-key": "secret"}, timeout=30)
        assert b"x-api-key: secret" in layer.elsewhere.heard[0]


@pytest.mark.parametrize(("vanish", "message"), [(False, "refused"), (True, "timed out")])
def test_connections_fail_during_an_outage_and_work_afterward(
    stage: Stage, get: Callable[..., requests.Response], vanish: bool, message: str
) -> None:
    with in_front_of(stage.address.port, [Closed(1.0, vanish)]) as layer:
        with pytest.raises(requests.ConnectionError, match=message):
            get(layer, timeout_s=0.5)
        deadline = time.monotonic() + 20
        while True:
            try:
                assert get(layer).status_code == 200
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
    with in_front_of(stage.address.port, [Fault(effects.goes_down(), ("wav",))]) as layer:
        assert get(layer, "projects").status_code == 200
        for _ in range(3):
            with pytest.raises(requests.ConnectionError, match="aborted|reset|refused"):
                get(layer)
        assert len(layer.outages) == 1
