"""The key, the token and passwords go only to the host that they are for, wherever a server redirects."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.constants
import huggingface_hub.file_download
import huggingface_hub.utils._http
import pytest

import block.model_store.web
from block.edge_impulse.client import StudioClient
from block.edge_impulse.errors import Redirected, StudioError
from block.edge_impulse.retries import RetryPolicy
from block.model.checkpoint import CONFIG, CheckpointError
from block.model_store.hub import find_on_hub
from block.model_store.web import download
from tests.edge_impulse.scripted import Answer, Server, scripted
from tests.security.hostile import KEY, TOKEN, run_python
from tests.security.web import CALL_STUDIO, NAME, serve

# {there}: host and port of another server; {here}: host and port of the server that redirects; {port}: the other
# server's port.
ELSEWHERE = (
    "http://{there}/x", "//{there}/x", "http://{here}@{there}/x", "http://{here}:80@{there}/", "http://{here}%40{there}/",
    "http://{there}\\@{here}/x", "http://{there}\\.example@{here}/x", "http://{there}\\\\@{here}/", "/\\{there}/x",
    "\\\\{there}/x", "http:\\\\{there}\\x", "http:/\\{there}/x", "http:///{there}/x", "http:/{there}/x",
    "http:{there}/x",    "http://{there};@{here}/x", "http://{there}%5c@{here}/x", "http://{there}%2f@{here}/x", "http://{there}%00@{here}/x",
    "http://{there}#@{here}/x", "http://{there}?@{here}/x", "http://{there}/@{here}", "http://{there}\t@{here}/x",
    " http://{there}/x", "http://localhost:{port}/x", "http://LOCALHOST:{port}/x", "http://0x7f000001:{port}/x",
    "http://127.1:{port}/x", "http://[::ffff:127.0.0.1]:{port}/x", "http://127。0。0。1:{port}/x", "https://{there}/x",
    "https://{here}/x", "ftp://{there}/x", "HTTP://{there}/x", "http://\u2488:{port}/", "http://{here}.:{port}/x",
)  # fmt: skip


def fill_in(pattern: str, here: Server, there: Server) -> str:
    """Return the pattern with its fields filled in, decoded as headers are."""
    host = there.url.removeprefix("http://")
    port = host.rpartition(":")[2]
    return pattern.format(here=here.url.removeprefix("http://"), there=host, port=port).encode().decode("latin-1")


@pytest.mark.parametrize(
    ("pattern", "status"),
    [*((pattern, 307) for pattern in ELSEWHERE), *((ELSEWHERE[0], code) for code in (301, 302, 303))],
)
def test_no_redirect_takes_the_key_to_another_server(pattern: str, status: int) -> None:
    with scripted(Answer()) as there, scripted(Answer()) as here:
        location = fill_in(pattern, here, there)
        client = StudioClient(here.url, KEY, RetryPolicy(tries=1))
        said = []
        for send in (lambda: client.get_json("/api/x"), lambda: client.post_json("/api/x", {"a": 1})):
            here.answers[:] = [Answer(status, headers={"Location": location}), Answer()]
            try:
                send()
            except StudioError as error:
                said.append(str(error))
        assert KEY not in " ".join(said)
        assert there.asked == []
        assert all(one.headers["x-api-key"] == KEY for one in here.asked)
        assert len(here.asked) >= 2


def test_a_redirect_on_the_same_server_is_followed_with_the_key() -> None:
    with scripted(Answer(302, headers={"Location": "/v1/api/y"}), Answer()) as here:
        assert StudioClient(here.url, KEY).get_json("/api/x") == {"success": True}
    assert [(one.path, one.headers["x-api-key"]) for one in here.asked] == [("/v1/api/x", KEY), ("/v1/api/y", KEY)]


def test_cookies_are_neither_kept_nor_sent() -> None:
    cookie = {"Set-Cookie": f"key={KEY}; Path=/"}
    with scripted(Answer(302, headers={"Location": "/v1/again", **cookie}), Answer(headers=cookie)) as server:
        client = StudioClient(server.url, KEY)
        client.get_json("/api/x")
        client.get_json("/api/x")
        assert len(server.asked) == 3
        assert [name for one in server.asked for name in one.headers if name.lower() == "cookie"] == []


@pytest.mark.parametrize(
    "pattern", ["/v1/x?key={}", "/v1/{}/x", "http://{}.example/x", "/v1/x#{}", "//elsewhere.example/?{}", "http://[{}"]
)
@pytest.mark.parametrize(
    "spell",
    [str, str.upper, lambda key: "".join(f"%{ord(one):02x}" for one in key), lambda key: key.replace("_", "%255F")],
    ids=["plain", "upper", "percent-encoded", "twice"],
)
def test_a_redirect_to_an_address_with_the_key_is_refused(pattern: str, spell: object) -> None:
    spelled = spell(KEY)  # type: ignore[operator]
    with scripted(Answer(307, headers={"Location": pattern.format(spelled)})) as server:
        with pytest.raises(Redirected) as caught:
            StudioClient(server.url, KEY).get_json("/api/x")
        assert len(server.asked) == 1
    assert str(caught.value) == "GET /api/x: redirected to an address that contains the API key; not followed"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's client go online, give it a token, and make it retry without waiting."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for module in (huggingface_hub.file_download, huggingface_hub.utils._http):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda seconds: None))


def fetch_from_hub(here: Server, location: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Fetch a file from the hub `here`, which redirects to `location`; return the error's text, or an empty string."""
    monkeypatch.setenv("HF_ENDPOINT", here.url)
    linked = {"X-Repo-Commit": "0" * 40, "X-Linked-Etag": '"an-etag"', "X-Linked-Size": "17"}
    here.answers[:] = [Answer(302, headers={"Location": location, **linked})]
    try:
        find_on_hub("someone/small", "0" * 40).copy(CONFIG, folder, None)
    except CheckpointError as error:
        return str(error)
    return ""


def authorizations(server: Server) -> list[str | None]:
    """Return the Authorization header of each request to the server, None if it had none."""
    headers = [{name.lower(): value for name, value in one.headers.items()} for one in server.asked]
    return [one.get("authorization") for one in headers]


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("pattern", ELSEWHERE)
def test_no_redirect_takes_the_hubs_token_to_another_server(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(Answer()) as there, scripted(Answer()) as here:
        assert TOKEN not in fetch_from_hub(here, fill_in(pattern, here, there), tmp_path, monkeypatch)
        assert authorizations(here)[0] == f"Bearer {TOKEN}"
        assert authorizations(there) == [None] * len(there.asked)


@pytest.mark.usefixtures("token")
def test_a_mirror_that_redirects_to_the_real_hub_does_not_get_the_token_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        scripted(Answer(headers={"X-Repo-Commit": "0" * 40, "ETag": '"an-etag"'})) as there,
        scripted(Answer()) as here,
    ):
        # `there` stands in for huggingface.co, which huggingface_hub always trusts.
        origin = huggingface_hub.utils._http._url_origin(there.url)
        monkeypatch.setattr(huggingface_hub.utils._http, "_HUB_ORIGINS", frozenset({origin}))
        assert fetch_from_hub(here, f"{there.url}/x", tmp_path, monkeypatch) == ""
        assert (tmp_path / CONFIG).read_bytes() == Answer().body
        assert set(authorizations(here)) == {f"Bearer {TOKEN}"}
        assert authorizations(there) == [None] * 5  # three files were requested, the first of them twice


LOCATE = """
import sys
from block.model_store.hub import find_on_hub

try:
    find_on_hub("someone/small", "0" * 40)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("pattern", ["http://{there}/x", "http://{there}\\@127.0.0.1:PORT/x", "//{there}/x"])
def test_no_redirect_of_a_hub_query_takes_the_token_to_another_server(pattern: str, tmp_path: Path) -> None:
    with serve(None) as (port, asked_there):
        with serve(None, pattern.format(there=f"127.0.0.1:{port}")) as (here, asked):
            done = run_python(["-c", LOCATE], tmp_path, HF_TOKEN=TOKEN, HF_ENDPOINT=f"http://127.0.0.1:{here}")
    assert asked[0]["authorization"] == f"Bearer {TOKEN}", done.stdout + done.stderr
    assert asked_there == []


@pytest.mark.usefixtures("token")
def test_passwords_in_netrc_are_never_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password for-this-host\ndefault login me password for-any-host\n")
    with scripted(Answer()) as there, scripted(Answer()) as here:
        # Under a loopback address, requests wouldn't read netrc at all.
        done = run_python(["-c", CALL_STUDIO, here.url.replace("127.0.0.1", NAME), KEY], tmp_path, NETRC=str(netrc))
        assert "'success': True" in done.stdout, done.stdout + done.stderr
        monkeypatch.setenv("NETRC", str(netrc))
        here.answers[:] = [Answer(302, headers={"Location": f"{there.url}/x"})]
        download(f"{here.url}/x", tmp_path / CONFIG)
        assert authorizations(here) == [None, None]
        assert authorizations(there) == [None]
        fetch_from_hub(here, f"{there.url}/x", tmp_path, monkeypatch)
        assert set(authorizations(here)[2:]) == {f"Bearer {TOKEN}"}
        assert authorizations(there) == [None, None]


def test_a_password_in_a_url_goes_only_to_its_host(tmp_path: Path) -> None:
    with scripted(Answer()) as there, scripted(Answer()) as here:
        here.answers[:] = [Answer(302, headers={"Location": f"{there.url}/x"})]
        download(here.url.replace("http://", "http://me:word@") + "/x", tmp_path / CONFIG)
        assert authorizations(here) == ["Basic bWU6d29yZA=="]
        assert authorizations(there) == [None]


@pytest.mark.parametrize("pattern", ELSEWHERE)
def test_no_redirect_takes_a_password_to_another_server(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block.model_store.web, "ATTEMPTS", 1)
    with scripted(Answer()) as there, scripted(Answer()) as here:
        here.answers[:] = [Answer(302, headers={"Location": fill_in(pattern, here, there)}), Answer()]
        said = ""
        try:
            download(here.url.replace("http://", "http://me:word@") + "/x", tmp_path / CONFIG)
        except CheckpointError as error:
            said = str(error)
        assert "word" not in said
        assert authorizations(here)[0] == "Basic bWU6d29yZA=="
        assert authorizations(there) == [None] * len(there.asked)


def test_a_proxy_set_in_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(Answer(body=json.dumps({"success": True, "by": "proxy"}).encode())) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        answer = StudioClient("http://studio.test", KEY, RetryPolicy(tries=1)).get_json("/api/x")
    assert answer["by"] == "proxy"
    assert proxy.asked[0].path == "http://studio.test/v1/api/x"
