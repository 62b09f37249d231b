"""Join or start a cluster without extra output or leaked secrets. If that fails, the error is one line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from block.cluster import connection
from block.settings import SettingsError
from tests.cluster.conftest import Machines
from tests.conftest import ROOT

pytest.importorskip("ray")
KEY = "ei_0123456789abcdef"
# Join or start a cluster as a command does, run a task and a dataset on it, and print what they saw as JSON.
SCRIPT = """
import json, os, signal, sys
from block.runtime import cancel
from block.cluster import connection
cancel.install()
handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
print("connecting", flush=True)
cluster = connection.connect(sys.argv[1], "label recordings")
same = handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
import pyarrow as pa, ray

@ray.remote(num_cpus=1)
def seen():
    import block
    folder = os.path.dirname(block.__file__)
    return folder, dict(os.environ), [name for _, below, files in os.walk(folder) for name in (*below, *files)]

class LabelRecordings:
    def __call__(self, table):
        return table

folder, environment, files = ray.get(seen.remote())
dataset = ray.data.from_arrow([pa.table({"number": [number]}) for number in range(4)])
pool = ray.data.ActorPoolStrategy(min_size=1, max_size=1)
dataset = dataset.map_batches(LabelRecordings, batch_size=None, batch_format="pyarrow", compute=pool)
dataset = connection.set_dataset_name(dataset, "label recordings")
rows = sum(table.num_rows for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
jobs = ray._private.worker.global_worker.gcs_client.get_all_job_info()
(config,) = [job.config for id, job in jobs.items() if id.hex() == ray.get_runtime_context().get_job_id()]
connection.disconnect()
print(json.dumps({"cluster": vars(cluster), "handlers": same, "folder": folder, "environment": environment,
                  "files": files, "rows": rows, "mine": dict(os.environ), "name": config.metadata["job_name"],
                  "config": str(config), "left": ray.is_initialized()}))
"""


def run_script(address: str, folder: Path, **environment: str) -> dict[str, Any]:
    """Run the script in `folder`, and return what it saw. It must not print anything else."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, address], cwd=folder, capture_output=True, text=True, timeout=300,
        env={**inherited, "PYTHONPATH": str(ROOT), "EI_PROJECT_API_KEY": KEY, "HF_TOKEN": KEY, **environment},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    connecting, answer = done.stdout.splitlines()
    assert connecting == "connecting"
    return dict(json.loads(answer))


def command_of(pid: int) -> str:
    """Return the command of a process, empty if it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def children(pid: int) -> dict[int, str]:
    """Return the processes that `pid` has started, with their commands."""
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += task.read_text().split()
    return {int(child): command_of(int(child)) for child in found}


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def ray_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if Ray is imported."""
    monkeypatch.setattr(connection, "import_ray", lambda: pytest.fail("Ray was imported"))


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never answers. Ray doesn't translate 127.0.0.2."""
    with socket.create_server(("127.0.0.2", 0)) as listening:
        yield f"127.0.0.2:{listening.getsockname()[1]}"


@pytest.mark.usefixtures("ray_not_imported")
@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("recordings", "put a folder before --ray"),
        ("/mnt/recordings", "put a folder before --ray"),
        ("s3://bucket/recordings", "expected HOST:PORT, auto or local"),
        ("localhost", "expected HOST:PORT, auto or local"),
        ("10.0.0.1:99999", "expected HOST:PORT, auto or local"),
        ("http://127.0.0.1:8265", "6379 by default"),
        ("ray://127.0.0.1:10001", "ray job submit"),
    ],
)
def test_an_invalid_address_is_rejected_with_what_was_expected(address: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        connection.connect(address, "label")
    assert str(caught.value).startswith(f"--ray is '{address}'")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("ray_not_imported")
@pytest.mark.parametrize("address", ["", "auto"])
def test_an_address_in_the_environment_is_checked_too(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:10001")
    with pytest.raises(SettingsError, match=r"^RAY_ADDRESS is 'ray://"):
        connection.connect(address, "label")


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install -r locked/ray\.txt"):
        connection.import_ray()
    assert (ROOT / "locked" / "ray.txt").exists()


def test_an_address_where_nothing_answers_is_reported_immediately(silent: str) -> None:
    port = int(silent.partition(":")[2])
    with pytest.raises(SettingsError, match=rf"^no Ray cluster answers at 127\.0\.0\.3:{port}: Connection refused$"):
        connection.connect(f"127.0.0.3:{port}", "label")


def test_a_cluster_that_has_ended_is_reported_with_how_to_forget_it(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private import services

    gone = silent.replace("127.0.0.2", "127.0.0.3")
    monkeypatch.setattr(services, "find_gcs_addresses", lambda: frozenset())
    monkeypatch.setattr(services.find_gcs_addresses, "cache_clear", lambda: None, raising=False)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: gone)
    with pytest.raises(SettingsError, match=f"^no Ray cluster answers at {gone}: .*`ray stop` to forget it"):
        connection.connect("", "label")


def test_a_server_that_is_not_a_ray_cluster_is_reported(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_WITHIN_S", 1.0)
    with pytest.raises(SettingsError, match=f"^something answers at {silent}, but it isn't a Ray cluster"):
        connection.connect(silent, "label")


def test_if_a_cluster_needs_a_token_the_error_says_where_to_put_it() -> None:
    import grpc

    class Guard(grpc.ServerInterceptor):  # type: ignore[misc]
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            def refuse(request: Any, context: Any) -> None:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")

            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.server(ThreadPoolExecutor(1), interceptors=[Guard()])
    port = server.add_insecure_port("127.0.0.2:0")
    server.start()
    try:
        with pytest.raises(SettingsError, match="needs a different token: set RAY_AUTH_MODE=token"):
            connection.connect(f"127.0.0.2:{port}", "label")
    finally:
        server.stop(None).wait()


def test_auto_without_a_running_cluster_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services

    def none(address: str | None) -> str:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(services, "canonicalize_bootstrap_address", none)
    with pytest.raises(SettingsError, match="no Ray cluster runs here"):
        connection.connect("auto", "label")


def test_a_machine_that_is_not_part_of_the_cluster_is_reported(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private import services

    monkeypatch.setattr(services, "find_node_ids", set)
    with pytest.raises(SettingsError, match=f"isn't part of the cluster at .*ray start --address={machines.address}"):
        connection.connect(machines.address, "label")


def test_joining_a_cluster_that_never_responds_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    waiting = threading.Event()
    monkeypatch.setattr(connection, "_check_answer", lambda address, is_searched: None)
    monkeypatch.setattr(connection, "JOIN_WITHIN_S", 0.5)
    monkeypatch.setattr(ray, "init", lambda **how: waiting.wait())
    try:
        with pytest.raises(SettingsError, match=r"can't join the cluster at 127\.0\.0\.2:6379: no answer within"):
            connection.connect("127.0.0.2:6379", "label")
    finally:
        waiting.set()
        connection.disconnect()


def test_if_versions_differ_the_error_names_both(machines: Machines) -> None:
    code = """
import sys
import ray
from ray._private import utils
utils.compute_version_info = lambda: ("2.59.0", "3.10.1")
from block.cluster import connection
from block.settings import SettingsError
try:
    connection.connect(sys.argv[1], "label")
except SettingsError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, machines.address], cwd=ROOT, capture_output=True, text=True,
                          timeout=120)  # fmt: skip
    import ray

    mine = f"Ray {ray.__version__} on Python {'.'.join(map(str, sys.version_info[:3]))}"
    assert done.stdout == (
        f"the cluster at {machines.address} runs {mine}, this command Ray 2.59.0 on Python 3.10.1; "
        "install matching versions\n"
    )
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("in_root", [True, False])
def test_workers_of_a_cluster_import_only_the_code_that_they_are_sent(
    two: Machines, tmp_path: Path, in_root: bool
) -> None:
    seen = run_script(two.address, ROOT if in_root else tmp_path)
    assert "py_modules_files" in seen["folder"]
    assert {"connection.py", "audioset_ontology.csv", "studio.css"} <= set(seen["files"])
    assert KEY not in json.dumps([seen["environment"], seen["config"]])
    assert seen["mine"]["EI_PROJECT_API_KEY"] == KEY
    assert (seen["rows"], seen["handlers"], seen["name"], seen["left"]) == (4, True, "label recordings", False)
    assert seen["cluster"] == {"address": two.address, "dashboard": "", "nodes": 3, "cpus": 2.0, "gpus": 0.0,
                               "is_own": False}  # fmt: skip


@pytest.mark.slow
def test_a_cluster_started_here_runs_this_code_gets_no_key_and_prints_nothing(tmp_path: Path) -> None:
    # HOME isn't writable; Ray by itself wouldn't start.
    seen = run_script("local", tmp_path, HOME="/dev/null/home", HTTPS_PROXY="http://user:password@127.0.0.1:9")
    assert seen["folder"] == str(ROOT / "block")
    assert KEY not in seen["environment"].values()
    assert "password" in seen["environment"]["HTTPS_PROXY"]
    assert "RAY_BACKEND_LOG_LEVEL" not in seen["environment"]
    assert seen["environment"]["RAY_USAGE_STATS_ENABLED"] == "0"
    assert (seen["mine"]["HF_TOKEN"], "RAY_BACKEND_LOG_LEVEL" in seen["mine"]) == (KEY, False)
    assert (seen["rows"], seen["handlers"], seen["name"], seen["left"]) == (4, True, "label recordings", False)
    assert (seen["cluster"]["nodes"], seen["cluster"]["is_own"]) == (1, True)


def test_a_signal_interrupts_the_start_and_leaves_no_process_behind(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, "local"], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
                               start_new_session=True)  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "connecting\n"
    wait_until(lambda: any("gcs_server" in command for command in children(process.pid).values()))
    started = children(process.pid)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert out == ""
    assert "KeyboardInterrupt" in err or "canceled" in err
    wait_until(lambda: not any(command_of(pid) for pid in started))


def test_other_users_cannot_read_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    connection._ensure_token()
    assert (tmp_path / ".ray").stat().st_mode & 0o077 == 0
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_leaving_without_having_joined_does_nothing() -> None:
    connection.disconnect()


def test_a_dataset_gets_a_name_that_works_as_a_file_name() -> None:
    class Dataset:
        name = ""

        def set_name(self, name: str) -> None:
            self.name = name

    dataset = Dataset()
    assert connection.set_dataset_name(dataset, "label /mnt/my recordings") is dataset
    assert dataset.name == "label-mnt-my-recordings"
    plain = object()
    assert connection.set_dataset_name(plain, "label") is plain
