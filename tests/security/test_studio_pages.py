"""Host name, token, origin and login decide who can see pages and post forms."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from block.commands import studio as studio_command
from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.data.validation import RequestError
from block.local_studio.key_waits import LoginWaits
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


def test_neither_the_token_nor_the_cookie_reveals_the_key(tmp_path: Path) -> None:
    """Servers with one key have different tokens and cookies, so these are of no use to check a guess of the key."""
    project = LocalProject(tmp_path)
    seen = []
    for _ in range(2):
        with running(project, host="0.0.0.0", key="a known key") as address:
            closed = Address("127.0.0.1", address.port, address.key)
            page = requests.get(f"{closed.url}/login", timeout=10)
            assert closed.key not in page.text + str(page.headers)
            fields = {"token": token(closed), "key": closed.key}
            answer = requests.post(f"{closed.url}/login", data=fields, timeout=10, allow_redirects=False)
            seen += [fields["token"], answer.cookies["local-studio"]]
    project.close()
    assert len(set(seen)) == 4


def test_wrong_keys_slow_down_the_login(closed: Address) -> None:
    fields = {"token": token(closed), "key": "ei_wrong"}
    codes = [requests.post(f"{closed.url}/login", data=fields, timeout=10).status_code for _ in range(4)]
    assert codes == [403, 403, 403, 429]


def test_the_wait_doubles_with_each_wrong_key_and_holds_up_no_other_client() -> None:
    now = 0.0
    waits = LoginWaits(clock=lambda: now)
    for wait_s in (0, 0, 1, 2, 4, 8, 16, 32, 64, 64, 64):
        waits.check("a")
        waits.note_wrong("a")
        if wait_s:
            now += wait_s - 0.5
            with pytest.raises(RequestError, match="try again in 1 second"):
                waits.check("a")
            now += 0.5
    waits.note_wrong("a")
    waits.check("b")


def test_keys_that_are_tried_at_the_same_time_are_looked_at_one_after_the_other() -> None:
    waits = LoginWaits(clock=lambda: 0.0)
    seen: list[bool] = []

    def guess(number: int) -> None:
        with suppress(RequestError):
            seen.append(waits.is_right("a", "the key" if number == 40 else f"guess {number}", "the key"))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(guess, range(200)))
    assert len([one for one in seen if not one]) == 3


def test_wrong_keys_slow_down_the_api_too(closed: Address) -> None:
    def ask(key: str | None) -> requests.Response:
        return requests.get(f"{closed.endpoint}/api/projects", headers={"x-api-key": key} if key else {}, timeout=10)

    assert [ask(None).status_code for _ in range(5)] == [401] * 5  # no guess
    assert [ask("ei_wrong").status_code for _ in range(4)] == [401, 401, 401, 429]
    right = ask(closed.key)  # nothing is learned while waiting
    assert (right.status_code, right.headers["Retry-After"], right.json()["success"]) == (429, "64", False)
    fields = {"token": token(closed), "key": closed.key}
    assert requests.post(f"{closed.url}/login", data=fields, timeout=10).status_code == 429


def test_a_key_that_other_machines_may_guess_is_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert studio_command.main([str(tmp_path), "--host", "0.0.0.0", "--port", "0", "--key", "hunter2"]) == 2
    assert "--key must have at least 32 characters" in capsys.readouterr().err


def test_no_folder_brings_or_keeps_a_key(tmp_path: Path) -> None:
    first = LocalProject(tmp_path)
    first.store.setting("key", "ei_local_known_to_the_sender")
    keys = {first.key}
    first.close()
    second = LocalProject(tmp_path)
    keys.add(second.key)
    second.close()
    assert len(keys) == 2
    assert all(len(key) >= 32 for key in keys)
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(key.encode() in content for key in (*keys, "ei_local_known_to_the_sender"))


ODD = {
    "origin": [
        b"Origin: " + one
        for one in (
            b"http://[", b"http://[::1", b"http://a]b", b"x://[v1.]/", b"", b"x", b"http://", b"http://a:99999",
            b"\xff", b"http://a/b", b"http://me@a", b"http://a b", b"http://a http://b", b"null\r\nOrigin: null",
        )
    ],
    "length": [
        b"Content-Length: " + one
        for one in (
            b"-1", b"+1", b"1_0", b"9" * 21, b"9" * 5000, b"1, 2", b"\xd9\xa1", b"0x1", b"", b"1,1", b"0, 0", b"1 1",
            b"0\r\nContent-Length: 0", b"1\r\nContent-Length: 2", b"0\r\nTransfer-Encoding: chunked", b"0\r\n ,0",
            b"0\r\nTransfer-Encoding: identity", b"0\r\nHost: x", b"0\r\nHost: y", b"0\r\nContent-Type: text/plain",
        )
    ],
    "cookie": [
        b"Cookie: " + one
        for one in (
            b"local-studio=\xff", b"a=\xff", b"a=\x01", b"a=\x7f", b"a=\x00", b"=", b"", b";;;;=;", b"a", b"a=b;;c=d",
            b"\xe9=a", b'local-studio="\\777"', b'local-studio="' + b"\\" * 9000 + b'"', b";" * 60_000,
            b"a=" + b"b" * 20_000,
            b"local-studio=" + b"a" * 63, b"local-studio=", b"local-studio=" + b"A" * 64, b"a=b\r\nCookie: c=d",
            b"local-studio=" + b"a" * 64 + b"; local-studio=" + b"b" * 64, b"a b=c", b"a=b\r\n c=d",
        )
    ],
}  # fmt: skip


def send_raw(address: Address, data: bytes) -> bytes:
    """Send a request; return the start of the answer."""
    with socket.create_connection((address.host, address.port), timeout=60) as client:
        client.sendall(data)
        return client.recv(4096)


@pytest.mark.parametrize("header", ODD)
def test_odd_headers_get_a_400(closed: Address, capfd: pytest.CaptureFixture[str], header: str) -> None:
    form = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    end = b"\r\n\r\n" if header == "length" else b"\r\nContent-Length: 0\r\n\r\n"
    for line in ODD[header]:
        for head in (
            form,
            b"GET /about HTTP/1.1\r\nHost: x\r\nContent-Type: x\r\n",
            b"GET /ids.json HTTP/1.0\r\nHost: x\r\nContent-Type: x\r\n",
        ):
            answer = send_raw(closed, head + line + end)
            assert answer.startswith(b"HTTP/1.1 400"), line
            assert b"cross-origin-resource-policy: same-origin" in answer.lower(), line
    assert send_raw(closed, form + b"Content-Length: 99999999999999999999\r\n\r\n").startswith(b"HTTP/1.1 413")
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err + printed.out


def test_an_odd_head_gets_a_400_even_if_it_comes_in_bits_or_behind_another_request(closed: Address) -> None:
    odd = b"GET /about HTTP/1.1\r\nHost: x\r\nContent-Length: 1,1\r\n\r\n"
    with socket.create_connection((closed.host, closed.port), timeout=60) as client:
        for at in range(len(odd)):
            client.sendall(odd[at : at + 1])
        assert client.recv(4096).startswith(b"HTTP/1.1 400")
    refused = b"POST /v1/api/1/raw-data/1/enable HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"  # answered early
    with socket.create_connection((closed.host, closed.port), timeout=60) as client:
        client.sendall(refused)
        assert client.recv(4096).startswith(b"HTTP/1.1 401")
        client.sendall(b"12345" + odd)
        received = b""
        while block := client.recv(4096):
            received += block
        assert b"HTTP/1.1 400" in received


def test_a_login_is_found_beside_the_cookies_of_other_servers_on_this_host(closed: Address) -> None:
    fields = {"token": token(closed), "key": closed.key}
    answer = requests.post(f"{closed.url}/login", data=fields, timeout=10, allow_redirects=False)
    cookie = f"local-studio={answer.cookies['local-studio']}"
    for text in (
        cookie,
        f'_xsrf=2|a; theme="dark, blue"; {cookie}',
        f"{cookie}; a={{%22b%22:1}}; c=",
        f"a=\\;{cookie}",
    ):
        answer = requests.get(f"{closed.url}/about", headers={"Cookie": text}, timeout=10, allow_redirects=False)
        assert answer.status_code == 200, text
    stale = requests.get(f"{closed.url}/about", headers={"Cookie": f"local-studio={'0' * 64}"}, timeout=10)
    assert stale.url == f"{closed.url}/login"


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
