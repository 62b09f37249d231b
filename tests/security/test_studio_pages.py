"""Host name, token, origin and login decide who can see pages and post forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Address]:
    project = LocalProject(tmp_path)
    with running(project) as address:
        yield address
    project.close()


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Address]:
    """Serve on an address that other machines can reach, too."""
    project = LocalProject(tmp_path)
    with running(project, host="0.0.0.0") as address:
        yield Address("127.0.0.1", address.port, address.key)
    project.close()


def token(address: Address, session: requests.Session | None = None, path: str = "/login") -> str:
    page = (session or requests).get(address.url + path, timeout=10).text
    return re.search(r'name="csrf-token" content="([0-9a-f]{64})"', page)[1]  # type: ignore[index]


def test_a_page_forbids_the_browser_to_contact_other_hosts(address: Address) -> None:
    answer = requests.get(f"{address.url}/login", timeout=10)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"(src|href|action)=[\"']?(https?:)?//", answer.text)
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|style=", answer.text)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4810", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_requests_under_a_foreign_host_name_are_refused(address: Address, host: str) -> None:
    for path in ("/login", "/", "/v1/api/projects", "/ids.json"):
        answer = requests.get(address.url + path, headers={"Host": host, "x-api-key": address.key}, timeout=10)
        assert answer.status_code == 400


def test_the_servers_own_names_are_answered(address: Address) -> None:
    for host in ("127.0.0.1", f"127.0.0.1:{address.port}", f"localhost:{address.port}", "[::1]"):
        assert requests.get(f"{address.url}/login", headers={"Host": host}, timeout=10).status_code == 200


FORGED = {
    "no token": ({}, {}),
    "another token": ({"token": "0" * 64}, {}),
    "another origin": ({}, {"Origin": "http://evil.example"}),
    "another port": ({}, {"Origin": "http://127.0.0.1:1"}),
    "a page in a frame": ({}, {"Origin": "null"}),
    "another site": ({}, {"Sec-Fetch-Site": "cross-site"}),
    "another page of this machine": ({}, {"Sec-Fetch-Site": "same-site"}),
}


@pytest.mark.parametrize("how", FORGED)
def test_no_other_page_can_post(closed: Address, how: str) -> None:
    changes, headers = FORGED[how]
    fields = {"key": closed.key, **({} if how == "no token" else {"token": token(closed)}), **changes}
    answer = requests.post(f"{closed.url}/login", data=fields, headers=headers, timeout=10, allow_redirects=False)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_form_of_another_type_is_refused(closed: Address) -> None:
    text = f"key={closed.key}&token={token(closed)}"
    for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x"):
        answer = requests.post(f"{closed.url}/login", data=text, headers={"Content-Type": kind}, timeout=10)
        assert answer.status_code == 415


def test_pages_require_the_key_if_other_machines_can_reach_them(closed: Address) -> None:
    session = requests.Session()
    for path in ("/", "/about", "/nothing/there"):
        answer = session.get(closed.url + path, timeout=10, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    fields = {"token": token(closed, session), "key": "ei_wrong"}
    wrong = session.post(f"{closed.url}/login", data=fields, timeout=10)
    assert wrong.status_code == 403
    assert "not the key" in wrong.text
    assert session.get(f"{closed.url}/about", timeout=10, allow_redirects=False).status_code == 303
    right = session.post(f"{closed.url}/login", data={**fields, "key": closed.key}, timeout=10, allow_redirects=False)
    assert right.headers["Location"] == "/"
    cookie = right.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert closed.key not in cookie
    assert session.get(f"{closed.url}/nothing/there", timeout=10, allow_redirects=False).status_code == 404


def test_neither_the_token_nor_the_cookie_reveals_the_key(closed: Address) -> None:
    page = requests.get(f"{closed.url}/login", timeout=10)
    assert closed.key not in page.text + str(page.headers)


def test_only_static_files_are_served(address: Address) -> None:
    for name in (
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/site.py",
        "%2e%2e%2fsite.py",
        "%2e%2e",
        "studio.css/",
        "base.html",
        "../templates/base.html",
    ):
        assert requests.get(f"{address.url}/static/{name}", timeout=10).status_code == 404
    answer = requests.get(f"{address.url}/static/studio.css", timeout=10)
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-cache"


def test_a_missing_page_gives_html_and_a_missing_call_gives_json(address: Address) -> None:
    page = requests.get(f"{address.url}/no-such-page", timeout=10)
    assert page.status_code == 404
    assert "There is no such page." in page.text
    for path in ("/v1/api/nothing", "/no-such.json"):
        answer = requests.get(address.url + path, headers={"x-api-key": address.key}, timeout=10)
        assert (answer.status_code, answer.json()["success"]) == (404, False)
        assert ("Content-Security-Policy" in answer.headers) == (not path.startswith("/v1"))


@pytest.mark.parametrize(
    "name", ["someone/model", "../models", "https://127.0.0.1:9/model.tar", "ast-tiny-audioset", ""]
)
def test_the_local_studio_fetches_only_models_that_the_block_knows(address: Address, name: str) -> None:
    form = {"token": token(address), "name": name}
    answer = requests.post(f"{address.url}/models/fetch", form, timeout=10, allow_redirects=False)
    assert (answer.status_code, "can&#39;t be fetched here" in answer.text) == (400, True)
    assert requests.get(f"{address.url}/models/state.json", timeout=10).json() == {"isRunning": False}
