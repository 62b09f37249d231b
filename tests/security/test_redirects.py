"""Wherever a server points: the key, the token and passwords go to the host that they are for, and to no other."""

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
from block.edge_impulse.errors import StudioError
from block.edge_impulse.retries import RetryPolicy
from block.model.checkpoint import CONFIG, CheckpointError
from block.model_store.hub import find_on_hub
from block.model_store.web import download
from tests.edge_impulse.scripted import Answer, Server, scripted
from tests.security.hostile import KEY, TOKEN, run_python
from tests.security.web import CALL_STUDIO, NAME, served

# {there}: host and port of another server; {here}: those of the one that redirects; {port}: the other one's port.
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


def located(pattern: str, here: Server, there: Server) -> str:
    """The pattern filled in, as the bytes of a header are read."""
    host = there.url.removeprefix("http://")
    port = host.rpartition(":")[2]
    return pattern.format(here=here.url.removeprefix("http://"), there=host, port=port).encode().decode("latin-1")


@pytest.mark.parametrize(
    ("pattern", "status"),
    [*((pattern, 307) for pattern in ELSEWHERE), *((ELSEWHERE[0], code) for code in (301, 302, 303))],
)
def test_no_redirect_takes_the_key_to_another_server(pattern: str, status: int) -> None:
    with scripted(Answer()) as there, scripted(Answer()) as here:
        location = located(pattern, here, there)
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


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client may go online, has a token, and does not wait before it asks again."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for module in (huggingface_hub.file_download, huggingface_hub.utils._http):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda seconds: None))


def received_from_hub(here: Server, location: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What went wrong, if anything did, with a file of the hub `here`, which is kept at `location`."""
    monkeypatch.setenv("HF_ENDPOINT", here.url)
    linked = {"X-Repo-Commit": "0" * 40, "X-Linked-Etag": '"an-etag"', "X-Linked-Size": "17"}
    here.answers[:] = [Answer(302, headers={"Location": location, **linked})]
    try:
        find_on_hub("somebody/small", "0" * 40).copy(CONFIG, folder, None)
    except CheckpointError as error:
        return str(error)
    return ""


def authorizations(server: Server) -> list[str | None]:
    """What each request to the server was given as Authorization."""
    headers = [{name.lower(): value for name, value in one.headers.items()} for one in server.asked]
    return [one.get("authorization") for one in headers]


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("pattern", ELSEWHERE)
def test_no_redirect_takes_the_hubs_token_to_another_server(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(Answer()) as there, scripted(Answer()) as here:
        assert TOKEN not in received_from_hub(here, located(pattern, here, there), tmp_path, monkeypatch)
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
        # As if that were huggingface.co, which huggingface_hub trusts wherever it comes from.
        origin = huggingface_hub.utils._http._url_origin(there.url)
        monkeypatch.setattr(huggingface_hub.utils._http, "_HUB_ORIGINS", frozenset({origin}))
        assert received_from_hub(here, f"{there.url}/x", tmp_path, monkeypatch) == ""
        assert (tmp_path / CONFIG).read_bytes() == Answer().body
        assert set(authorizations(here)) == {f"Bearer {TOKEN}"}
        assert authorizations(there) == [None] * 5  # asked for three files, and for the first of them again


LOCATE = """
import sys
from block.model_store.hub import find_on_hub

try:
    find_on_hub("somebody/small", "0" * 40)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("pattern", ["http://{there}/x", "http://{there}\\@127.0.0.1:PORT/x", "//{there}/x"])
def test_no_redirect_takes_the_token_of_a_question_to_the_hub_to_another_server(pattern: str, tmp_path: Path) -> None:
    with served(None) as (port, asked_there):
        with served(None, pattern.format(there=f"127.0.0.1:{port}")) as (here, asked):
            done = run_python(["-c", LOCATE], tmp_path, HF_TOKEN=TOKEN, HF_ENDPOINT=f"http://127.0.0.1:{here}")
    assert asked[0]["authorization"] == f"Bearer {TOKEN}", done.stdout + done.stderr
    assert asked_there == []


@pytest.mark.usefixtures("token")
def test_what_netrc_holds_goes_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password for-this-host\ndefault login me password for-any-host\n")
    with scripted(Answer()) as there, scripted(Answer()) as here:
        # On loopback, by its name, the environment is not even looked at.
        done = run_python(["-c", CALL_STUDIO, here.url.replace("127.0.0.1", NAME), KEY], tmp_path, NETRC=str(netrc))
        assert "'success': True" in done.stdout, done.stdout + done.stderr
        monkeypatch.setenv("NETRC", str(netrc))
        here.answers[:] = [Answer(302, headers={"Location": f"{there.url}/x"})]
        download(f"{here.url}/x", tmp_path / CONFIG)
        assert authorizations(here) == [None, None]
        assert authorizations(there) == [None]
        received_from_hub(here, f"{there.url}/x", tmp_path, monkeypatch)
        assert set(authorizations(here)[2:]) == {f"Bearer {TOKEN}"}
        assert authorizations(there) == [None, None]


def test_a_password_in_a_url_goes_to_its_host_alone(tmp_path: Path) -> None:
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
        here.answers[:] = [Answer(302, headers={"Location": located(pattern, here, there)}), Answer()]
        said = ""
        try:
            download(here.url.replace("http://", "http://me:word@") + "/x", tmp_path / CONFIG)
        except CheckpointError as error:
            said = str(error)
        assert "word" not in said
        assert authorizations(here)[0] == "Basic bWU6d29yZA=="
        assert authorizations(there) == [None] * len(there.asked)


def test_a_proxy_that_the_environment_names_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(Answer(body=json.dumps({"success": True, "by": "proxy"}).encode())) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        answer = StudioClient("http://studio.test", KEY, RetryPolicy(tries=1)).get_json("/api/x")
    assert answer["by"] == "proxy"
    assert proxy.asked[0].path == "http://studio.test/v1/api/x"
