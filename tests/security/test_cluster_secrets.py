"""The key of a run on a Ray cluster stays in the memory of the processes that need it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from block.cluster import coordinator
from tests.cluster.local_ray import local_ray
from tests.cluster.requesting_worker import RequestingWorker
from tests.edge_impulse.scripted import Answer, scripted
from tests.security.hostile import KEY, leaks

pytestmark = pytest.mark.slow

SEEN = "a-line-that-is-there-to-be-found"


def test_the_key_of_a_cluster_run_is_in_no_ray_file_and_no_process_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("EI_PROJECT_API_KEY", KEY)
    refusal = Answer(401, b'{"success": false, "error": "no: %s"}' % KEY.encode())
    with local_ray() as folder, scripted(Answer(body=b'{"success": true, "n": 1}'), refusal) as server:
        handle = coordinator.start_coordinator(coordinator.CoordinatorInputs(api_key=KEY, requests=4))
        asking = ray.remote(RequestingWorker).options(num_cpus=0).remote(handle, "worker", 10.0)
        ray.get(asking.say.remote(SEEN))
        answers = ray.get(asking.ask.remote(server.url, 2, 1))
        assert [one.headers["x-api-key"] for one in server.asked] == [KEY] * 2
        assert answers[0] == "1"
        assert answers[1].startswith("Unauthorized")
        with pytest.raises(ray.exceptions.RayTaskError, match="the driver gave no file") as caught:
            ray.get(handle.share_file.remote("../secret"))
        words = [*answers, str(caught.value), repr(caught.value), repr(handle), str(ray.nodes())]
        processes = arguments(folder)
        ray.shutdown()  # now everything is written
        files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert leaks("\n".join(words)) == []
    assert any("raylet" in one for one in processes), "no process of this cluster was found"
    assert leaks("\n".join(processes)) == []
    assert any(SEEN.encode() in content for content in files.values()), "no file has what a worker printed"
    assert {path.name: found for path, content in files.items() if (found := leaks(content))} == {}
    assert [path for path in files if leaks(str(path))] == []


def arguments(folder: Path) -> list[str]:
    """Return the command lines of the processes that have `folder` among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue  # the process has ended
    return [one for one in found if str(folder) in one or one.startswith("ray::")]


def test_neither_the_coordinator_nor_its_inputs_show_the_key() -> None:
    given = coordinator.CoordinatorInputs(api_key=KEY, requests=2)
    made = coordinator.Coordinator()

    async def asked() -> str:
        await made.configure(given)
        with pytest.raises(LookupError) as caught:
            await made.share_file("config.json")
        assert leaks(str(caught.value)) == []
        return await made.read_api_key()

    assert asyncio.run(asked()) == KEY
    assert leaks(f"{given!r} {given} {made!r} {made}") == []
