"""A worker of a cluster that asks a server through the gate; no more than that."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from block.cluster import throttle_client
from block.edge_impulse.client import StudioClient
from block.edge_impulse.errors import StudioError
from block.edge_impulse.retries import RetryPolicy
from block.recording import RunEnded


class Asking:
    """An actor named `name`. It proves that it lives every `renew_every_s` seconds."""

    def __init__(self, coordinator: Any, name: str, renew_every_s: float) -> None:
        import ray

        throttle_client.RENEW_EVERY_S = renew_every_s
        self.key = ray.get(coordinator.read_api_key.remote())
        self.name = name
        self.gate = throttle_client.ThrottleClient(coordinator, name)

    def ready(self) -> str:
        return self.name

    def say(self, line: str) -> None:
        """Into Ray's log of this process."""
        print(line, flush=True)

    def ask(self, url: str, times: int, threads: int) -> list[str]:
        """What came of so many calls of `url`, from so many threads."""
        client = StudioClient(url, self.key, RetryPolicy(tries=50, first_wait_s=0.01), rate_limit=self.gate)

        def one(number: int) -> str:
            try:
                return str(client.get_json(f"/{self.name}/{number}")["n"])
            except (StudioError, RunEnded) as error:
                return f"{type(error).__name__}: {error}"

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(times)))

    def hold(self, count: int) -> list[int | None]:
        """Enter so often, and do not leave."""
        stop = threading.Event()
        return [self.gate.enter(stop) for _ in range(count)]

    def let_go(self, numbers: list[int]) -> None:
        """Leave with these."""
        for number in numbers:
            self.gate.leave(number, "good")

    def wait_in_vain(self, seconds: float) -> int | None:
        """Enter with a run that is over after so long."""
        stop = threading.Event()
        threading.Timer(seconds, stop.set).start()
        return self.gate.enter(stop)

    def wait_for_the_end(self) -> str:
        """Enter; the word with which the run ends."""
        try:
            return f"entered: {self.gate.enter(threading.Event())}"
        except RunEnded as error:
            return str(error)
