"""Requests to the local Studio that are there to exhaust it, to measure it from another site, or to break it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from tests.security.hostile import wav


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Address]:
    (tmp_path / "a.wav").write_bytes(wav())
    project = LocalProject(tmp_path)
    project.scan()
    with running(project) as address:
        yield address
    project.close()


def test_a_short_text_with_long_ranges_of_ids_costs_no_memory(address: Address) -> None:
    ranges = ",".join(f"{number}-9007199254740991" for number in range(1, 300))
    tracemalloc.start()
    try:
        for path in (f"/actions?ids={ranges}", "/actions?ids=1-1000000,2000000-3000000"):
            assert requests.get(address.url + path, timeout=60).status_code == 200
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 << 20


COSTLY = ("/", "/actions?ids=1", "/recordings/1", "/recordings/1/spectrogram.png", "/recordings/1/waveform.json",
          "/recordings/1/audio", "/labels/export", "/jobs", "/about", "/static/studio.css")  # fmt: skip


@pytest.mark.parametrize("site", ["cross-site", "same-site", "something-new"])
def test_no_page_of_another_site_can_make_the_studio_work(address: Address, site: str) -> None:
    for path in COSTLY:
        for dest in ("image", "audio", "iframe", "document", ""):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": dest}
            answer = requests.get(address.url + path, headers=headers, timeout=10)
            assert answer.status_code == 403, path
            assert "another site" in answer.text
        assert requests.head(address.url + path, headers={"Sec-Fetch-Site": site}, timeout=10).status_code == 403


def test_own_pages_typed_addresses_and_clicked_links_are_answered(address: Address) -> None:
    clicked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, clicked):
        for path in COSTLY:
            assert requests.get(address.url + path, headers=headers, timeout=10).status_code == 200, path


def test_no_page_of_another_site_can_embed_an_answer(address: Address) -> None:
    for path in (*COSTLY, "/nothing", "/v1/api/projects", "/ids.json"):
        for headers in ({}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"x-api-key": address.key}):
            answer = requests.get(address.url + path, headers=headers, timeout=10)
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin", path
