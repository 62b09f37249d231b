"""A worker of a cluster that only sends requests through the throttle."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from block.cluster import throttle_client
from block.edge_impulse.client import StudioClient
from block.edge_impulse.errors import StudioError
from block.edge_impulse.retries import RetryPolicy
from block.recording import RunEnded


class RequestingWorker:
    """An actor named `name`, which tells the coordinator that it is alive every `renew_every_s` seconds."""

    def __init__(self, coordinator: Any, name: str, renew_every_s: float) -> None:
        import ray

        throttle_client.RENEW_EVERY_S = renew_every_s
        self.key = ray.get(coordinator.read_api_key.remote())
        self.name = name
        self.throttle = throttle_client.ThrottleClient(coordinator, name)

    def ready(self) -> str:
        return self.name

    def say(self, line: str) -> None:
        """Print a line into Ray's log of this process."""
        print(line, flush=True)

    def ask(self, url: str, times: int, threads: int) -> list[str]:
        """Return the answers to `times` requests to `url`, sent by `threads` threads."""
        client = StudioClient(url, self.key, RetryPolicy(tries=50, first_wait_s=0.01), rate_limit=self.throttle)

        def one(number: int) -> str:
            try:
                return str(client.get_json(f"/{self.name}/{number}")["n"])
            except (StudioError, RunEnded) as error:
                return f"{type(error).__name__}: {error}"

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(times)))

    def hold(self, count: int) -> list[int | None]:
        """Enter `count` times without leaving."""
        stop = threading.Event()
        return [self.throttle.enter(stop) for _ in range(count)]

    def release(self, numbers: list[int]) -> None:
        """Leave with each of `numbers`."""
        for number in numbers:
            self.throttle.leave(number, "good")

    def enter_until_stopped(self, seconds: float) -> int | None:
        """Enter in a run that stops after `seconds`."""
        stop = threading.Event()
        threading.Timer(seconds, stop.set).start()
        return self.throttle.enter(stop)

    def wait_for_the_end(self) -> str:
        """Enter, and return the message with which the run ends."""
        try:
            return f"entered: {self.throttle.enter(threading.Event())}"
        except RunEnded as error:
            return str(error)
