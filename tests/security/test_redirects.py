"""Wherever a server points: the key, the token and passwords go to the host that they are for, and to no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from block.edge_impulse.client import StudioClient
from block.edge_impulse.errors import StudioError
from block.edge_impulse.retries import RetryPolicy
from block.model.checkpoint import CONFIG, CheckpointError
from block.model_store.download_progress import DownloadProgress
from block.model_store.transfer import DownloadTimeouts, Remote, receive
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


def received(remote: Remote, folder: Path) -> str:
    """What went wrong, if anything did."""
    try:
        receive(
            remote,
            folder / "part",
            folder / "etag",
            1 << 20,
            DownloadTimeouts(attempts=1),
            DownloadProgress(CONFIG),
            lambda *args: None,
        )
    except CheckpointError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("pattern", ELSEWHERE)
def test_no_redirect_takes_the_hubs_token_to_another_server(pattern: str, tmp_path: Path) -> None:
    with scripted(Answer()) as there, scripted(Answer()) as here:
        here.answers[:] = [Answer(302, headers={"Location": located(pattern, here, there)}), Answer()]
        assert TOKEN not in received(Remote(f"{here.url}/x", token=TOKEN), tmp_path)
        assert here.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
        assert [one.headers.get("Authorization") for one in there.asked] == [None] * len(there.asked)


LOCATE = """
import sys
from block.model_store.hub import locate
from block.model_store.transfer import DownloadTimeouts

try:
    locate("somebody/small", "0" * 40, DownloadTimeouts(connect_s=5, read_s=5, attempts=1))
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


def test_what_netrc_holds_goes_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password for-this-host\ndefault login me password for-any-host\n")
    with scripted(Answer()) as there, scripted(Answer()) as here:
        # On loopback, by its name, the environment is not even looked at.
        done = run_python(["-c", CALL_STUDIO, here.url.replace("127.0.0.1", NAME), KEY], tmp_path, NETRC=str(netrc))
        assert "'success': True" in done.stdout, done.stdout + done.stderr
        monkeypatch.setenv("NETRC", str(netrc))
        for token in (None, TOKEN):
            here.answers[:] = [Answer(302, headers={"Location": f"{there.url}/x"}), Answer()]
            received(Remote(f"{here.url}/x", token=token), tmp_path)
            (tmp_path / "part").unlink()
        given = [one.headers.get("Authorization") for one in (*here.asked, *there.asked)]
    assert given == [None, None, f"Bearer {TOKEN}", None, None]


def test_a_password_in_a_url_goes_to_its_host_alone(tmp_path: Path) -> None:
    with scripted(Answer()) as there, scripted(Answer()) as here:
        here.answers[:] = [Answer(302, headers={"Location": f"{there.url}/x"})]
        received(Remote(here.url.replace("http://", "http://me:word@") + "/x"), tmp_path)
        assert [one.headers.get("Authorization") for one in here.asked] == ["Basic bWU6d29yZA=="]
        assert [one.headers.get("Authorization") for one in there.asked] == [None]


def test_a_proxy_that_the_environment_names_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(Answer(body=json.dumps({"success": True, "by": "proxy"}).encode())) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        answer = StudioClient("http://studio.test", KEY, RetryPolicy(tries=1)).get_json("/api/x")
    assert answer["by"] == "proxy"
    assert proxy.asked[0].path == "http://studio.test/v1/api/x"
