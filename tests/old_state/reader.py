"""A local Studio read over HTTP, as programs and browsers read it: all that its database and its files say."""

from __future__ import annotations

import html
import json
import re
from types import TracebackType
from typing import Any

import requests

Json = dict[str, Any]
TIMEOUT_S = 30


class Reader:
    """Asks the local Studio at `url` with its API key `key`. Project 1 is the only one that it has."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._key = key
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between a test and the loopback

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._session.close()

    def get(self, path: str, **query: str | int) -> Json:
        """The answer to a call of the API that reads."""
        answer = self._session.get(
            f"{self.url}/v1/api/{path}", params=query, headers={"x-api-key": self._key}, timeout=TIMEOUT_S
        )
        answer.raise_for_status()
        read: Json = answer.json()
        return read

    def post(self, path: str, body: object) -> None:
        """A call of the API that writes."""
        headers = {"x-api-key": self._key}
        self._session.post(
            f"{self.url}/v1/api/{path}", json=body, headers=headers, timeout=TIMEOUT_S
        ).raise_for_status()

    def samples(self, job: int | None = None) -> dict[str, Json]:
        """All samples by name, as the job `job` proposes them where one is given."""
        query: Json = {"category": "training", **({} if job is None else {"proposedActionsJobId": job})}
        return {one["filename"]: one for one in self.get("1/raw-data", **query)["samples"]}

    def page(self, path: str) -> str:
        """A page's HTML."""
        answer = self._session.get(self.url + path, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.text

    def send(self, path: str, **fields: str) -> str:
        """Send a form; returns where it leads."""
        answer = self._session.post(self.url + path, data={"token": self._token(), **fields}, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.url.removeprefix(self.url)

    def label_by_hand(self, sample_id: int, labels: list[Json]) -> None:
        """Save labels as a person does on a recording's page."""
        body = {"revision": self._shown(sample_id)["revision"], "labels": labels}
        self._session.post(
            f"{self.url}/recordings/{sample_id}/labels", json=body, headers={"x-csrf-token": self._token()},
            timeout=TIMEOUT_S,
        ).raise_for_status()  # fmt: skip

    def job(self, job_id: int) -> Json:
        """A job's state, progress and log, and the parameters on its page."""
        state: Json = json.loads(self.page(f"/jobs/{job_id}/state.json"))
        parameters = re.findall(r'<dd class="mono">(.*?)</dd>', self.page(f"/jobs/{job_id}"), re.DOTALL)
        return {**{name: state[name] for name in ("state", "done", "of", "text")}, "parameters": parameters}

    def everything(self, jobs: tuple[int, ...]) -> Json:
        """All that is kept of the project and of these jobs."""
        samples = self.samples()
        shown = {name: self._shown(sample["id"]) for name, sample in samples.items()}
        return {
            "samples": samples,
            "why": {name: [one["current"], one["proposed"]] for name, one in shown.items()},
            "jobs": {str(job): self.job(job) for job in jobs},
            "proposed": {
                str(job): self.get(f"1/raw-data/ai-actions-preview/{job}/proposed-changes")["proposedChanges"]
                for job in jobs
            },
        }

    def _shown(self, sample_id: int) -> Json:
        """What a recording's page tells its script: labels and proposed labels, and for each what spoke for it."""
        found = re.search(r'data-recording="(.*?)"', self.page(f"/recordings/{sample_id}"))
        assert found is not None
        shown: Json = json.loads(html.unescape(found[1]))
        return shown

    def _token(self) -> str:
        found = re.search('<meta name="csrf-token" content="(.+?)">', self.page("/"))
        assert found is not None
        return found[1]
