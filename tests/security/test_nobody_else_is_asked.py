"""Nothing is sent to anybody but EI_API_ENDPOINT, and nothing at all by the commands that label folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from block.model.checkpoint import FILES
from tests.conftest import EMBEDDED
from tests.model_store.standin import COMMIT, StandIn, served
from tests.security.commanded import GUARD, Commanded
from tests.security.hostile import SECRETS, TOKEN, run_python, studio, told

ACTION = (
    GUARD
    + """
from tests.stub.action import main

sys.argv[1:2] = []
main()
"""
)
FETCH = (
    GUARD
    + """
from pathlib import Path
from block.commands.models import main
from block.model_store.store import ModelStore

main(["fetch", sys.argv[3]], ModelStore(Path(sys.argv[2]), ()))
"""
)


def test_the_guard_sees_a_connection_and_a_look_up(tmp_path: Path) -> None:
    script = GUARD + (
        "import requests\n"
        "for address in ('http://127.0.0.1:9/', 'http://nowhere.test/'):\n"
        "    try:\n        requests.get(address)\n    except Exception:\n        pass\n"
    )
    done = run_python(["-c", script, "127.0.0.1:1"], tmp_path)
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["127.0.0.1:9", "nowhere.test:80"], done.stderr


def test_commands_that_work_on_folders_ask_nobody(commanded: Commanded) -> None:
    assert "ASKED" not in commanded.printed
    assert "is sound" in commanded.printed, "the last of them has run"


def test_the_ai_action_asks_its_endpoint_alone(tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text(json.dumps([1, 2, 3]))
    with studio(lambda method, path: None) as server:
        address = server.url.removeprefix("http://")
        done = run_python(
            ["-c", ACTION, address, "--data-ids-file", "ids.json", "--model", EMBEDDED], tmp_path, **SECRETS,
            EI_API_ENDPOINT=server.url,
        )  # fmt: skip
    assert "3 labeled, 0 failed" in done.stdout, done.stdout + done.stderr
    assert "ASKED" not in done.stdout
    assert len(server.asked) > 6


def test_fetch_asks_the_hub_and_where_that_points_alone(tmp_path: Path, checkpoint_folder: Path) -> None:
    contents = {name: (checkpoint_folder / name).read_bytes() for name in FILES}
    with served(StandIn(xet=True)) as hub, served(StandIn()) as elsewhere:
        for standin in (hub, elsewhere):
            standin.add(contents, "/somebody/small")
        hub.redirect_to = elsewhere.url
        allowed = ",".join(standin.url.removeprefix("http://") for standin in (hub, elsewhere))
        # As where a user is: nothing is said about telemetry, or about Xet, whose client is installed here.
        done = run_python(
            ["-c", FETCH, allowed, str(tmp_path / "models"), f"somebody/small@{COMMIT}"], tmp_path, **SECRETS,
            HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home"),
        )  # fmt: skip
    assert "small is in " in done.stdout, done.stdout + done.stderr
    assert "ASKED" not in done.stdout
    assert {one.token for one in hub.asked} == {f"Bearer {TOKEN}"}
    assert {one.token for one in elsewhere.asked} == {None}
    assert told(done.stdout + done.stderr) == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name: told(path.read_bytes()) for path in files} == {path.name: [] for path in files}


def test_the_local_studio_listens_on_loopback_alone(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    from block.local_studio.data.project import LocalProject
    from block.local_studio.server import running

    project = LocalProject(tmp_path)
    try:
        with running(project) as address:
            listening = [
                line.split()[1]
                for table in ("tcp", "tcp6")
                for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
                if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == address.port
            ]
    finally:
        project.close()
    # The address's bytes in the order of this machine, a little-endian one here and on ARM.
    assert [place.partition(":")[0] for place in listening] == ["0100007F"]
