"""The key, the envelope, and requests that have no handler."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import requests

from block.local_studio.api.app import LARGEST_BODY

Refused = Callable[..., None]


@pytest.mark.parametrize("key", [None, "", "ei_wrong", "ключ".encode()])
@pytest.mark.parametrize("path", ["projects", "1", "1/raw-data?category=all", "1/raw-data/1/wav", "no/such/call"])
def test_every_call_needs_the_key(studio: Any, refused: Refused, key: Any, path: str):
    refused(studio.get(path, headers={"x-api-key": key}), 401, "x-api-key")


def test_nothing_is_written_without_the_key(studio: Any, refused: Refused):
    sample_id = studio.add(label="before")
    answer = studio.post(studio.raw_data(sample_id, "edit-label"), {"label": "x"}, headers={"x-api-key": "no"})
    refused(answer, 401)
    assert studio.sample(sample_id)["label"] == "before"


def test_a_key_sent_twice_is_refused(studio: Any):
    host, port, key = studio.address.host, studio.address.port, studio.address.key
    request = f"GET /v1/api/projects HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nx-api-key: {key}\r\n\r\n"
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(request.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("path", ["no/such/call", "projects/", "1/jobs", "1/ai-actions", "abc", "1/raw-data/1/raw"])
def test_unknown_calls_get_a_404_in_the_envelope(studio: Any, refused: Refused, path: str):
    refused(studio.get(path), 404)


def test_paths_outside_the_api_and_the_pages_get_a_404(studio: Any):
    for path in ("/v2/api/projects", "/../.local-studio.sqlite3", "/.local-studio.sqlite3", "/%2e%2e/pages.py"):
        answer = studio.session.get(studio.address.url + path, timeout=10)
        assert answer.status_code == 404
        assert "There is no such page." in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "projects"),
        ("DELETE", "1/raw-data/1"),
        ("PUT", "1/raw-data/1/metadata"),
        ("GET", "1/raw-data/1/enable"),
    ],
)
def test_wrong_methods_get_a_405_in_the_envelope(studio: Any, refused: Refused, method: str, path: str):
    answer = studio.request(method, path)
    refused(answer, 405, method)
    assert answer.headers["allow"]


@pytest.mark.parametrize("project", ["2", "999999"])
@pytest.mark.parametrize("call", ["", "/raw-data?category=all", "/raw-data/1", "/raw-data/1/wav?axisIx=0"])
def test_another_projects_id_is_forbidden(studio: Any, refused: Refused, project: str, call: str):
    refused(studio.get(project + call), 403, f"project {project}")


@pytest.mark.parametrize("call", ["structured-labels", "edit-label", "metadata", "propose-changes", "disable"])
def test_writing_to_another_project_is_forbidden(studio: Any, refused: Refused, call: str):
    refused(studio.post(f"2/raw-data/{studio.add()}/{call}", {}), 403)


def test_an_unknown_sample_is_not_found_by_any_call(studio: Any, refused: Refused):
    for sample_id in ("987654", "0", "-1", "abc", "9" * 400, "1%2F..%2F.."):
        for call in ("", "/wav?axisIx=0"):
            refused(studio.get(f"1/raw-data/{sample_id}{call}"), 404)
        for call in ("structured-labels", "edit-label", "metadata", "propose-changes", "enable", "disable"):
            refused(studio.post(f"1/raw-data/{sample_id}/{call}", {}), 404)


@pytest.mark.parametrize("call", ["structured-labels", "edit-label", "metadata", "propose-changes"])
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"label": NaN}', b"\xff"])
def test_a_body_that_is_not_a_json_object_gets_a_400(studio: Any, refused: Refused, call: str, body: bytes):
    path = studio.raw_data(studio.add(), call)
    headers = {"content-type": "application/json"}
    refused(studio.request("POST", path, data=body, headers=headers), 400, "body")


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_the_content_type_of_a_body_must_be_json(studio: Any, refused: Refused, content_type: str | None):
    path = studio.raw_data(studio.add(), "edit-label")
    headers = {"content-type": content_type}
    refused(studio.request("POST", path, data=b'{"label":"x"}', headers=headers), 415, "application/json")


@pytest.mark.parametrize("call", ["structured-labels", "edit-label", "metadata", "propose-changes"])
def test_unknown_keys_in_a_body_are_refused(studio: Any, refused: Refused, call: str):
    refused(studio.post(studio.raw_data(studio.add(), call), {"lables": []}), 400, "lables")


def test_a_key_that_cannot_be_encoded_is_refused_too(studio: Any, refused: Refused):
    path = studio.raw_data(studio.add(), "metadata")
    headers = {"content-type": "application/json"}
    for body in (rb'{"\ud800": 1}', rb'{"metadata": {"\ud800": "a"}}', rb'{"metadata": {"a": "\udfff"}}'):
        refused(studio.request("POST", path, data=body, headers=headers), 400)


def test_a_client_that_disconnects_causes_no_error_output(studio: Any, capfd: pytest.CaptureFixture[str]):
    host, port, key = studio.address.host, studio.address.port, studio.address.key
    path = f"/v1/api/{studio.raw_data(studio.add(), 'edit-label')}"
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nContent-Length: 99\r\n\r\n{{"
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(request.encode())
    assert studio.get("projects").ok
    assert capfd.readouterr().err == ""


def test_a_writing_call_takes_no_query_parameters(studio: Any, refused: Refused):
    refused(studio.post(studio.raw_data(studio.add(), "enable"), params={"a": "b"}), 400, "'a'")


def test_a_body_that_is_too_large_is_refused(studio: Any):
    path = studio.raw_data(studio.add(), "edit-label")
    blocks = (b" " * 2**20 for _ in range(LARGEST_BODY // 2**20 + 2))
    try:
        answer = studio.request("POST", path, data=blocks, headers={"content-type": "application/json"})
    except requests.ConnectionError:
        return  # the server disconnected while the test was still sending
    assert answer.status_code == 413


def test_internal_errors_are_answered_without_a_traceback(
    studio: Any, refused: Refused, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def fail(*arguments: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(studio.project.store, "sample", fail)
    answer = studio.get(studio.raw_data(1))
    refused(answer, 500)
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    monkeypatch.undo()
    assert studio.get("projects").status_code == 200


def test_all_ids_can_be_fetched_as_an_ids_file_with_the_key(studio: Any, refused: Refused):
    sample_id = studio.add()
    url = f"{studio.address.url}/ids.json"
    refused(studio.session.get(url, timeout=10), 401)
    found = studio.session.get(url, headers={"x-api-key": studio.address.key}, timeout=10).json()
    assert list(found) == ["ids"]
    assert sample_id in found["ids"]


def test_many_threads_can_write_at_once(studio: Any):
    from concurrent.futures import ThreadPoolExecutor

    sample_id = studio.add()

    def write(i: int) -> int:
        headers = {"x-api-key": studio.address.key}
        url = f"{studio.address.endpoint}/api/{studio.raw_data(sample_id, 'metadata')}"
        body = {"metadata": {f"key{i}": str(i)}}
        return requests.post(url, json=body, headers=headers, timeout=10).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(40))) == {200}
    assert studio.sample(sample_id)["metadata"] == {f"key{i}": str(i) for i in range(40)}
