from __future__ import annotations

from dataclasses import replace

import pytest

from block.cluster.connection import Cluster
from block.cluster.device import choose_device
from block.cluster.settings import ClusterSettings, read_cluster
from block.commands.label_options import read_label
from block.commands.options import parse
from block.settings import OPENVINO, ComputeSettings, SettingsError


def read(*arguments: str) -> ClusterSettings | None:
    return read_cluster(read_label(["recordings", "--out", "out", *arguments]))


def test_without_ray_there_is_no_cluster() -> None:
    assert read() is None
    assert read("--ray", "") is None


def test_ray_works_with_and_without_an_address() -> None:
    assert read("--ray") == ClusterSettings("")
    assert read("--ray", "--verbose") == ClusterSettings("")
    assert read("--ray", "10.0.0.1:6379") == ClusterSettings("10.0.0.1:6379")


def test_the_action_has_these_options_too_and_does_not_take_an_option_for_an_address() -> None:
    said: list[str] = []
    options = parse(["--data-ids-file", "ids.json", "--ray", "--something-new", "--ray-requests", "4"], said.append)
    assert read_cluster(options) == ClusterSettings("", requests=4)
    assert said == ["ignored unknown arguments: --something-new"]


@pytest.mark.parametrize(("text", "least", "most"), [("8", 8, 8), ("2-16", 2, 16), ("1-1", 1, 1)])
def test_workers_are_a_number_or_a_range(text: str, least: int, most: int) -> None:
    settings = read("--ray", "--ray-workers", text)
    assert settings is not None
    assert (settings.min_workers, settings.max_workers) == (least, most)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ray", "--ray-workers", "0"], "--ray-workers is 0-0; expected at least 1 worker"),
        (["--ray", "--ray-workers", "4-2"], "--ray-workers is 4-2"),
        (["--ray", "--ray-workers", "many"], "--ray-workers is 'many'; expected a number or range: 8 or 2-16"),
        (["--ray", "--ray-worker-cpus", "0"], "--ray-worker-cpus is 0; expected at least 1"),
        (["--ray", "--ray-worker-gpus", "1.5"], "--ray-worker-gpus is 1.5; expected 0 to 1, or a whole number"),
        (["--ray", "--ray-worker-gpus", "-1"], "--ray-worker-gpus is -1"),
        (["--ray", "--device", "cuda:1"], "--device is cuda:1; with --ray"),
        (["--ray-workers", "4"], "--ray-workers needs --ray"),
        (["--ray-worker-cpus", "4"], "--ray-worker-cpus needs --ray"),
    ],
)
def test_invalid_settings_are_rejected(arguments: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read(*arguments)


def test_cluster_options_are_not_among_the_options_that_labels_depend_on() -> None:
    from block.commands.label_options import collect_run_options

    plain = collect_run_options(read_label(["recordings", "--out", "out"]))
    assert (
        collect_run_options(read_label(["recordings", "--out", "out", "--ray", "host:1", "--ray-workers", "4"]))
        == plain
    )


@pytest.mark.parametrize(
    ("compute", "gpus", "got"),
    [
        (ComputeSettings(backend=OPENVINO), 2.0, "cuda and auto"),
        (ComputeSettings("cpu", "bfloat16", backend=OPENVINO), 0.0, "cpu and bfloat16"),
    ],
)
def test_a_backend_that_no_worker_can_use_is_refused_before_any_starts(
    compute: ComputeSettings, gpus: float, got: str
) -> None:
    cluster = Cluster("", "", 1, 4.0, gpus, is_own=False)
    with pytest.raises(SettingsError, match=f"--backend openvino needs --device cpu and --dtype float32; got {got}"):
        choose_device(compute, cluster, ClusterSettings())
    on_cpus = replace(compute, device="cpu", dtype="auto")
    assert choose_device(on_cpus, cluster, ClusterSettings()) == replace(on_cpus, dtype="float32")
