"""The AI Action contacts only EI_API_ENDPOINT, and the commands that label folders contact no host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from block.model.checkpoint import FILES
from tests.conftest import EMBEDDED
from tests.model_store.standin import COMMIT, StandIn, served
from tests.security.folder_commands import GUARD, CommandOutput
from tests.security.hostile import SECRETS, TOKEN, leaks, run_python, studio

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


def test_the_guard_sees_connections_and_name_lookups(tmp_path: Path) -> None:
    script = GUARD + (
        "import requests\n"
        "for address in ('http://127.0.0.1:9/', 'http://nowhere.test/'):\n"
        "    try:\n        requests.get(address)\n    except Exception:\n        pass\n"
    )
    done = run_python(["-c", script, "127.0.0.1:1"], tmp_path)
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["127.0.0.1:9", "nowhere.test:80"], done.stderr


def test_folder_commands_contact_no_other_host(command_output: CommandOutput) -> None:
    assert "ASKED" not in command_output.printed
    assert "is valid" in command_output.printed, "the last command didn't run"


def test_the_ai_action_contacts_only_its_endpoint(tmp_path: Path) -> None:
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


def test_fetch_contacts_only_the_hub_and_where_it_redirects(tmp_path: Path, checkpoint_folder: Path) -> None:
    contents = {name: (checkpoint_folder / name).read_bytes() for name in FILES}
    with served(StandIn(xet=True)) as hub, served(StandIn()) as elsewhere:
        for standin in (hub, elsewhere):
            standin.add(contents, "/someone/small")
        hub.redirect_to = elsewhere.url
        allowed = ",".join(standin.url.removeprefix("http://") for standin in (hub, elsewhere))
        # As on a user's machine: no variable turns off telemetry or Xet, whose client is installed here.
        done = run_python(
            ["-c", FETCH, allowed, str(tmp_path / "models"), f"someone/small@{COMMIT}"], tmp_path, **SECRETS,
            HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home"),
        )  # fmt: skip
    assert "small is in " in done.stdout, done.stdout + done.stderr
    assert "ASKED" not in done.stdout
    assert {one.token for one in hub.asked} == {f"Bearer {TOKEN}"}
    assert {one.token for one in elsewhere.asked} == {None}
    assert leaks(done.stdout + done.stderr) == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name: leaks(path.read_bytes()) for path in files} == {path.name: [] for path in files}


def test_the_local_studio_listens_only_on_loopback(tmp_path: Path) -> None:
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
    # The address's bytes in this machine's order: little-endian on x86 and ARM.
    assert [place.partition(":")[0] for place in listening] == ["0100007F"]
