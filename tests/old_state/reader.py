"""Read everything that a local Studio has in its database and files, over HTTP, as programs and browsers do."""

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
    """A client of the local Studio at `url`, with its API key `key`. Its only project is project 1."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._key = key
        self._session = requests.Session()
        self._session.trust_env = False  # use no proxy

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._session.close()

    def get(self, path: str, **query: str | int) -> Json:
        """Return the answer to a GET call of the API."""
        answer = self._session.get(
            f"{self.url}/v1/api/{path}", params=query, headers={"x-api-key": self._key}, timeout=TIMEOUT_S
        )
        answer.raise_for_status()
        read: Json = answer.json()
        return read

    def post(self, path: str, body: object) -> None:
        """Send a POST call to the API."""
        headers = {"x-api-key": self._key}
        self._session.post(
            f"{self.url}/v1/api/{path}", json=body, headers=headers, timeout=TIMEOUT_S
        ).raise_for_status()

    def samples(self, job: int | None = None) -> dict[str, Json]:
        """Return all samples by name, with the changes that `job` proposes if it is given."""
        query: Json = {"category": "training", **({} if job is None else {"proposedActionsJobId": job})}
        return {one["filename"]: one for one in self.get("1/raw-data", **query)["samples"]}

    def page(self, path: str) -> str:
        """Return a page's HTML."""
        answer = self._session.get(self.url + path, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.text

    def send(self, path: str, **fields: str) -> str:
        """Send a form; return the path of the page that it leads to."""
        answer = self._session.post(self.url + path, data={"token": self._token(), **fields}, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.url.removeprefix(self.url)

    def label_by_hand(self, sample_id: int, labels: list[Json]) -> None:
        """Save labels as a user does on a recording's page."""
        body = {"revision": self._page_data(sample_id)["revision"], "labels": labels}
        self._session.post(
            f"{self.url}/recordings/{sample_id}/labels", json=body, headers={"x-csrf-token": self._token()},
            timeout=TIMEOUT_S,
        ).raise_for_status()  # fmt: skip

    def job(self, job_id: int) -> Json:
        """Return a job's state, progress and log, and the parameters on its page."""
        state: Json = json.loads(self.page(f"/jobs/{job_id}/state.json"))
        parameters = re.findall(r'<dd class="mono">(.*?)</dd>', self.page(f"/jobs/{job_id}"), re.DOTALL)
        return {**{name: state[name] for name in ("state", "done", "of", "text")}, "parameters": parameters}

    def everything(self, jobs: tuple[int, ...]) -> Json:
        """Return everything about the project and these jobs."""
        samples = self.samples()
        shown = {name: self._page_data(sample["id"]) for name, sample in samples.items()}
        return {
            "samples": samples,
            "why": {name: [one["current"], one["proposed"]] for name, one in shown.items()},
            "jobs": {str(job): self.job(job) for job in jobs},
            "proposed": {
                str(job): self.get(f"1/raw-data/ai-actions-preview/{job}/proposed-changes")["proposedChanges"]
                for job in jobs
            },
        }

    def _page_data(self, sample_id: int) -> Json:
        """Return the data for a page's script: labels and proposed labels, each with its evidence."""
        found = re.search(r'data-recording="(.*?)"', self.page(f"/recordings/{sample_id}"))
        assert found is not None
        shown: Json = json.loads(html.unescape(found[1]))
        return shown

    def _token(self) -> str:
        found = re.search('<meta name="csrf-token" content="(.+?)">', self.page("/"))
        assert found is not None
        return found[1]
