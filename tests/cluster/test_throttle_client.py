from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from block.cluster import throttle
from block.cluster.coordinator import CoordinatorInputs, fetch_shared, start_coordinator
from block.model.checkpoint import FILES
from block.score_store import ScoreStore
from tests.cluster.local_ray import local_ray
from tests.cluster.requesting_worker import RequestingWorker
from tests.cluster.throttle_state import ThrottleState, state_of
from tests.score_store import scores

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray")
KEY = "ei_cluster0123456789secret"
LIMIT = 4


SILENT_S = 3.0


@dataclass
class Cluster:
    """A coordinator and four workers, for all tests of the module.

    The order of the tests matters: one of them kills the last worker, the last test kills the coordinator.
    """

    handle: Any
    workers: list[Any]

    def begin(self, requests: int) -> None:
        """Start a new run with at most `requests` open requests."""
        ray.get(self.handle.configure.remote(CoordinatorInputs(api_key=KEY, requests=requests)))

    def state(self) -> ThrottleState:
        state: ThrottleState = ray.get(self.handle.__ray_call__.remote(lambda actor: state_of(actor._throttle)))
        return state

    def until(self, fits: Callable[[ThrottleState], bool]) -> None:
        """Wait until the coordinator's state fits."""
        deadline = time.monotonic() + 60
        while not fits(self.state()):
            assert time.monotonic() < deadline, self.state()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with local_ray():
        handle = start_coordinator(CoordinatorInputs(api_key=KEY, requests=LIMIT))
        workers = [
            ray.remote(RequestingWorker).options(num_cpus=0, max_concurrency=8).remote(handle, name, 0.3)
            for name in "abcd"
        ]
        ray.get(handle.__ray_call__.remote(_lose_after, SILENT_S))
        ray.get([one.ready.remote() for one in workers])
        yield Cluster(handle, workers)


def _lose_after(self: Any, seconds: float) -> None:
    throttle.LOST_AFTER_S = seconds


@dataclass
class Busy:
    """A server that counts concurrent requests. After `slow_at` requests, it asks for a pause of `slow_s` seconds."""

    url: str = ""
    slow_at: int = 10**9
    slow_s: float = 2.0
    inside: int = 0
    most: int = 0
    asked: int = 0
    refused: int = 0
    slow_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self) -> float:
        """Count a request, and return the pause in seconds that the server asks for."""
        with self.lock:
            self.asked += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
            now = time.monotonic()
            if self.asked == self.slow_at:
                self.slow_until = now + self.slow_s
            if now < self.slow_until:
                self.refused += 1
            return max(0.0, self.slow_until - now)

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1


@contextmanager
def busy(server: Busy) -> Iterator[Busy]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            slow_s = server.enter()
            time.sleep(0.01)
            server.leave()  # the body isn't read yet, so this counts slightly less than the client does
            body = json.dumps({"success": True, "n": int(self.path.rsplit("/", 1)[1])}).encode()
            self.send_response_only(429 if slow_s else 200)
            self.send_header("Content-Length", str(len(body)))
            if slow_s:
                self.send_header("Retry-After", str(int(slow_s) + 1))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def test_all_workers_together_stay_within_the_limit_and_pause_when_one_is_asked_to(
    cluster: Cluster,
) -> None:
    cluster.begin(LIMIT)
    with busy(Busy(slow_at=60)) as server:
        answers = ray.get([one.ask.remote(server.url, 50, 6) for one in cluster.workers])
    assert answers == [[str(number) for number in range(50)]] * 4
    assert 2 <= server.most <= LIMIT
    # Only requests admitted before the coordinator knew of the slowdown come too early.
    assert 1 <= server.refused <= LIMIT
    assert server.asked == 200 + server.refused
    cluster.until(lambda state: state.under_way == state.waiting == 0)
    assert cluster.state().allowed == LIMIT, "grown again"


def test_the_driver_shares_the_checkpoints_files_and_the_list_of_stored_scores(
    cluster: Cluster, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    for name in FILES:
        (tmp_path / name).write_bytes(name.encode() * 100_000)
    with ScoreStore(tmp_path / "scores", scores.KEY, scores.NAMES) as store:
        for number in range(3):
            store.add(scores.make_scores(number))
    cluster_of = start_coordinator(CoordinatorInputs(tmp_path, tmp_path / "scores", scores.KEY))
    for name in FILES:
        assert fetch_shared(cluster_of.share_file.remote(name)) == name.encode() * 100_000
    (first,), (again,) = ray.get([cluster_of.share_file.remote(FILES[0]) for _ in range(2)])
    assert first == again, "one copy for all workers"
    assert fetch_shared(cluster_of.share_contents.remote()) == {scores.content(number) for number in range(3)}
    assert fetch_shared(cluster.handle.share_contents.remote()) == set()


def test_a_worker_with_a_long_request_does_not_count_as_lost(cluster: Cluster) -> None:
    cluster.begin(2)
    held = ray.get(cluster.workers[0].hold.remote(1))
    time.sleep(SILENT_S + 1)
    (more,) = ray.get(cluster.workers[1].hold.remote(1))  # each admission checks for lost workers
    assert cluster.state().under_way == 2
    ray.get([cluster.workers[0].release.remote(held), cluster.workers[1].release.remote([more])])


def test_a_run_that_is_over_stops_waiting_and_leaves_the_line(cluster: Cluster) -> None:
    cluster.begin(1)
    held = ray.get(cluster.workers[0].hold.remote(1))
    assert ray.get(cluster.workers[1].enter_until_stopped.remote(0.3), timeout=30) is None
    cluster.until(lambda state: state.waiting == 0)
    assert cluster.state().under_way == 1
    ray.get(cluster.workers[0].release.remote(held))


def test_requests_of_a_killed_worker_are_freed_and_the_others_finish(cluster: Cluster) -> None:
    cluster.begin(LIMIT)
    *_, kept, lost = cluster.workers
    with busy(Busy()) as server:
        assert None not in ray.get(lost.hold.remote(LIMIT))
        answers = kept.ask.remote(server.url, 10, 2)
        cluster.until(lambda state: state.waiting == 2)
        assert server.asked == 0
        ray.kill(lost)
        assert ray.get(answers, timeout=60) == [str(number) for number in range(10)]
    cluster.until(lambda state: state.under_way == 0)


def test_losing_the_coordinator_ends_the_run_of_every_waiting_worker(cluster: Cluster) -> None:
    cluster.begin(1)
    ray.get(cluster.workers[0].hold.remote(1))
    waiting = cluster.workers[1].wait_for_the_end.remote()
    cluster.until(lambda state: state.waiting == 1)
    ray.kill(cluster.handle)
    assert ray.get(waiting, timeout=30).startswith("the process that started this run is gone (Actor")
    later = cluster.workers[2].wait_for_the_end.remote()
    assert ray.get(later, timeout=30).startswith("the process that started this run is gone (Actor")
