"""A Ray cluster on this machine alone can't be reached from others."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

CODE = """
import json, os, time
from block.cluster.connection import connect
connect("local", "a test")
import ray

@ray.remote
def work():
    return 1

ray.get(work.remote())
import psutil  # comes with Ray
own = psutil.Process()
deadline = time.monotonic() + 60
while True:  # the dashboard and its agent start last
    found = set()
    for process in (own, *own.children(recursive=True)):
        try:
            listening = [one.laddr for one in process.net_connections("inet") if one.status == "LISTEN"]
            found |= {(address.ip, address.port) for address in listening}
        except psutil.Error:
            pass
    if {8265, 44217, 44227} <= {port for _, port in found} or time.monotonic() > deadline:
        break
    time.sleep(0.5)
print("FOUND", json.dumps(sorted(found)), flush=True)
ray.shutdown()
"""


def test_a_cluster_on_this_machine_listens_only_on_loopback() -> None:
    pytest.importorskip("ray")
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"})  # fmt: skip
    assert "FOUND" in done.stdout, done.stderr
    found = json.loads(done.stdout.partition("FOUND ")[2].splitlines()[0])
    assert len(found) > 5, "Ray's processes weren't found"
    assert {address for address, _ in found} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
