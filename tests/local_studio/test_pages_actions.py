"""The form of a block, its jobs and their proposals, used like a browser without scripts does."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import Proposal, ProposedChanges, StructuredLabel
from block.local_studio.data.validation import RequestError
from block.local_studio.jobs import jobs as jobs_module
from block.local_studio.jobs.store import PREVIEW, JobStore
from block.local_studio.server import running
from block.local_studio.web import selection
from block.local_studio.web.selection import parse_ids
from tests.local_studio.conftest import add_recording

TOY = Path(__file__).parent / "toy_block"
PATIENCE_S = 60.0


class Browser:
    """Loads pages, and posts their forms with the token."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.path = ""
        self.text = ""
        self.status = 0

    def get(self, path: str) -> str:
        return self._remember(self.session.get(self.url + path, timeout=10))

    def post(self, path: str, **fields: str) -> str:
        token = re.search('<meta name="csrf-token" content="(.+?)">', self.text)
        assert token is not None
        return self._remember(self.session.post(self.url + path, data={"token": token[1], **fields}, timeout=10))

    def start(self, do: str = "run", **fields: str) -> str:
        """Fill in the form of the toy block with its defaults and `fields`, and press the button `do`."""
        self.get("/actions")
        filled = {
            "which": "all", "ids": "", "at-most": "5", "p.label": "toy", "p.comment": "", "p.pause-ms": "0",
            "p.level": "", "p.do": "label", "p.words": "3", "p.details": "true", "do": do,
        }  # fmt: skip
        return self.post("/actions", **{**filled, **{key.replace("_", "-"): value for key, value in fields.items()}})

    def wait_for_end(self) -> str:
        """Wait until the job has ended, and return its page."""
        deadline = time.monotonic() + PATIENCE_S
        while 'data-running="yes"' in self.get(self.path):
            assert time.monotonic() < deadline, "the job does not end"
            time.sleep(0.02)
        return self.text

    def button(self, name: str, sample_id: int) -> str:
        """Return the value of the button `name` of a proposal."""
        found = re.search(rf'name="{name}" value="({sample_id}:[0-9]+)"', self.text)
        assert found is not None
        return found[1]

    def field(self, name: str) -> str:
        """Return the HTML tag of the form control `name`."""
        found = re.search(rf'<(?:input|select|textarea)[^>]*name="{re.escape(name)}"[^>]*>', self.text)
        assert found is not None, name
        return found[0]

    def _remember(self, answer: requests.Response) -> str:
        self.path, self.text, self.status = answer.url.removeprefix(self.url), answer.text, answer.status_code
        return self.text


@pytest.fixture
def browser(project: LocalProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setattr(jobs_module, "TICK_S", 0.05)
    for name in ("one.wav", "<b>two</b>", "three"):
        add_recording(project, 1000, 100, name=name)
    with running(project, block=TOY) as address:
        browser = Browser(address.url)
        yield browser
        browser.session.close()


def labels(project: LocalProject) -> dict[int, str]:
    return {sample.id: sample.structured_labels[0].label for sample in project.samples() if sample.structured_labels}


def by_hand(project: LocalProject, sample_id: int) -> None:
    sample = project.sample(sample_id)
    project.store.set_by_hand(sample_id, [StructuredLabel(0, 999, "mine")], sample.revision)


def test_the_form_has_all_items_with_their_help(browser: Browser):
    text = browser.get("/actions")
    assert browser.status == 200
    assert "<h1>Toy action</h1>" in text
    assert "<textarea" in browser.field("p.label")
    assert "toy\nblock</textarea>" in text
    assert 'aria-describedby="p.label-help p.label-hint"' in browser.field("p.label")
    assert 'type="number"' in browser.field("p.pause-ms")
    assert 'step="1"' in browser.field("p.pause-ms")
    assert 'step="any"' in browser.field("p.level")
    assert 'placeholder="-60"' in browser.field("p.level")
    assert '<option value="label" selected>label</option>' in text
    assert '<option value="fail">Fail at the first</option>' in text
    assert "checked" in browser.field("p.details")
    assert "checked" not in browser.field("p.chatty")
    assert "readonly" in browser.field("p.fixed")
    assert 'type="password"' in browser.field("p.TOY_TOKEN")
    assert "disabled" in browser.field("p.bucket")
    assert 'data-if="p.chatty" data-equal="yes" data-value="true"' in text
    assert 'name="p.overwrite-hand-labels"' not in text  # the checkbox for hand-made labels replaces it
    assert "Replace labels set by hand" in text
    for control in re.findall(r'<(?:input|select|textarea)[^>]* id="([^"]+)"', text):
        assert f'for="{control}"' in text or f'id="{control}"' in text


def test_a_preview_is_shown_and_its_proposals_are_accepted_and_rejected(browser: Browser, project: LocalProject):
    browser.start("preview", p_label="x")  # there is no such field, so it is ignored
    text = browser.wait_for_end()
    assert browser.path == "/jobs/1"
    assert "<h1>Preview 1" in text
    assert "3 of 3 recordings" in text
    assert text.count(">Accept</button>") == 3
    assert '<bdi>toy</bdi> <span class="num">10.0 s</span>' in text
    assert 'href="/recordings/2?job=1"' in text
    assert labels(project) == {}
    browser.post("/jobs/1/proposals", accept=browser.button("accept", 1))
    assert labels(project) == {1: "toy"}
    browser.post("/jobs/1/proposals", reject="2")
    assert browser.text.count(">Accept</button>") == 1
    browser.post("/jobs/1/bulk", decision="accept")
    assert labels(project) == {1: "toy", 3: "toy"}
    assert "No proposals are open." in browser.text


def test_what_a_preview_leaves_unchanged_is_done_but_not_offered_for_acceptance(
    browser: Browser, project: LocalProject
):
    jobs = JobStore(project.store)
    job = jobs.create(PREVIEW, "toy", {}, [1, 2, 3])
    by_hand(project, 2)
    for sample_id in (1, 2):  # the first failed, the second is a person's: the block proposes them as they are
        sample = project.sample(sample_id)
        changes = ProposedChanges(metadata=dict(sample.metadata), structured_labels=sample.structured_labels)
        project.store.propose(Proposal(job.id, sample_id, changes))
    labels_of_third = (StructuredLabel(0, 999, "dog"),)
    project.store.propose(Proposal(job.id, 3, ProposedChanges(structured_labels=labels_of_third)))
    jobs.add_details(job.id, {1: {"error": "it is empty"}})
    assert jobs.done(job) == {1, 2, 3}
    page = browser.get(f"/jobs/{job.id}")
    assert page.count(">Accept</button>") == 1
    assert "it is empty" in page
    assert browser.get("/").count("proposed by job") == 1
    assert "1 recording has labels that wait" in browser.get("/")
    assert "This accepts 1 segment in 1 recording" in browser.get(f"/jobs/{job.id}/bulk")
    assert "proposal open" not in browser.get("/recordings/1")


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("{url}/jobs/1?done=accept-one", 'href="/jobs/1?done=accept-one">Back'),
        ("{url}//evil.example/x", 'href="/evil.example/x">Back'),
        ("http://evil.example/jobs", None),
        ("http://[", None),
    ],
)
def test_an_error_leads_back_to_the_page_before_it_and_nowhere_else(browser: Browser, page: str, back: str | None):
    browser.session.headers["Referer"] = page.format(url=browser.url)
    text = browser.get("/jobs/77")
    assert browser.status == 404
    assert "Not found" in text
    assert (back in text) if back else (">Back</a>" not in text)


def test_all_proposals_are_rejected_at_once(browser: Browser, project: LocalProject):
    browser.start("preview")
    browser.wait_for_end()
    browser.post("/jobs/1/bulk", decision="discard")
    assert project.store.proposals(1) == []
    assert labels(project) == {}


def test_accepting_all_keeps_labels_that_were_made_by_hand(browser: Browser, project: LocalProject):
    by_hand(project, 2)
    browser.start("preview", with_hand="on")
    browser.wait_for_end()
    browser.post("/jobs/1/bulk", decision="accept")
    assert labels(project) == {1: "toy", 2: "mine", 3: "toy"}
    assert "labeled by hand" in browser.text
    browser.post("/jobs/1/proposals", accept=browser.button("accept", 2))
    assert labels(project)[2] == "toy"


def test_accepting_on_an_outdated_page_does_not_replace_labels_made_by_hand(browser: Browser, project: LocalProject):
    browser.start("preview")
    browser.wait_for_end()
    button = browser.button("accept", 2)
    by_hand(project, 2)
    browser.post("/jobs/1/proposals", accept=button)
    assert browser.status == 409
    assert labels(project) == {2: "mine"}
    browser.post("/jobs/1/proposals", accept="2")
    assert browser.status == 400
    assert labels(project) == {2: "mine"}


def test_recordings_labeled_by_hand_are_not_given_to_a_block_unless_requested(browser: Browser, project: LocalProject):
    by_hand(project, 1)
    browser.start()
    browser.wait_for_end()
    assert labels(project) == {1: "mine", 2: "toy", 3: "toy"}
    assert "--overwrite-hand-labels" not in browser.text
    browser.start(**{"with-hand": "on"})
    browser.wait_for_end()
    assert labels(project)[1] == "toy"
    assert "--overwrite-hand-labels" in browser.text


def test_nothing_starts_if_all_recordings_are_labeled_by_hand(browser: Browser, project: LocalProject):
    by_hand(project, 1)
    browser.start(which="given", ids="1")
    assert browser.status == 422
    assert "labeled by hand" in browser.text
    assert project.store.proposals(1) == []
    assert JobStore(project.store).latest() == []


@pytest.mark.parametrize(
    ("which", "ids", "expected"),
    [("all", "1", (1, 2, 3)), ("unlabeled", "", (1, 3)), ("failed", "", (3,)), ("given", "3 1,1-2", (1, 2, 3))],
)
def test_the_block_gets_the_chosen_recordings(
    browser: Browser, project: LocalProject, which: str, ids: str, expected: tuple[int, ...]
):
    store = JobStore(project.store)
    project.store.set_structured_labels(2, [StructuredLabel(0, 999, "there")])
    earlier = store.create("run", "another", {}, [3])
    store.end(earlier.id, "failed", 1)
    store.add_details(earlier.id, {3: {"error": "broken"}, 2: {"segments": []}})
    browser.start(which=which, ids=ids)
    browser.wait_for_end()
    assert store.latest()[0].sample_ids == expected


def test_a_preview_takes_a_few_at_random(browser: Browser, project: LocalProject):
    browser.start("preview", **{"at-most": "2"})
    browser.wait_for_end()
    (job,) = JobStore(project.store).latest()
    assert len(job.sample_ids) == 2
    assert len(set(job.sample_ids)) == 2
    assert selection.draw(range(1000), 5) != selection.draw(range(1000), 5)


def test_the_form_begins_with_the_recordings_in_the_address(browser: Browser):
    text = browser.get("/actions?ids=1,3")
    assert 'value="given" checked' in text
    assert 'value="1,3"' in browser.field("ids")
    assert 'value="unlabeled" checked' in browser.get("/actions?filter=unlabeled")
    assert 'value="all" checked' in browser.get("/actions?filter=<script>")
    assert "<script>alert" not in browser.get("/actions?ids=<script>alert(1)</script>")


def test_errors_are_shown_at_their_fields_and_in_a_summary(browser: Browser, project: LocalProject):
    text = browser.start(
        **{"p.pause-ms": "soon", "p.label": "", "p.TOY_TOKEN": "my secret", "which": "given", "ids": "9"}
    )
    assert browser.status == 422
    assert re.search(r'id="problems" role="alert" tabindex="-1" autofocus', text)
    for name, problem in (("p.pause-ms", "whole number"), ("p.label", "required"), ("ids", "no recording 9")):
        assert 'aria-invalid="true"' in browser.field(name)
        assert re.search(rf'<a href="#{re.escape(name)}">[^<]+</a>: [^<]*{problem}', text)
        assert re.search(rf'id="{re.escape(name)}-wrong">[^<]*{problem}', text)
    assert 'value="soon"' in browser.field("p.pause-ms")
    assert "my secret" not in text
    assert JobStore(project.store).latest() == []


def test_the_form_starts_with_the_last_values(browser: Browser):
    browser.start(**{"p.label": "kept", "p.chatty": "true", "p.details": "", "p.TOY_TOKEN": "my secret"})
    browser.wait_for_end()
    assert "my secret" not in browser.text
    text = browser.get("/actions")
    assert "kept</textarea>" in text
    assert "checked" in browser.field("p.chatty")
    assert "checked" not in browser.field("p.details")
    assert 'value="' not in browser.field("p.TOY_TOKEN")
    browser.start(**{"p.label": "newer"})
    browser.wait_for_end()
    assert "kept</textarea>" in browser.get("/actions?job=1")
    assert browser.get("/actions?job=99")
    assert browser.status == 200


def test_a_second_start_says_which_job_runs_and_cancel_ends_it(browser: Browser):
    browser.start(**{"p.pause-ms": "60000"})
    first = browser.path
    assert 'http-equiv="refresh"' in browser.text
    browser.start(**{"p.label": "patience"})
    assert browser.status == 409
    assert f'<a href="{first}">job 1</a>' in browser.text
    assert "patience</textarea>" in browser.text
    browser.post(f"{first}/cancel")
    assert browser.path == first
    text = browser.wait_for_end()
    assert ">canceled</span>" in text
    assert "143: ended by SIGTERM" in text
    assert 'http-equiv="refresh"' not in text
    assert "/cancel" not in text


def test_the_log_is_followed_and_no_script_in_it_runs(browser: Browser):
    browser.start()
    text = browser.wait_for_end()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    state = browser.session.get(f"{browser.url}/jobs/1/state.json?offset=0", timeout=10).json()
    assert (state["state"], state["isRunning"], state["exit"]) == ("finished", False, "0: success")
    assert (state["done"], state["of"]) == (3, 3)
    assert state["text"].endswith("sample 3 <script>alert(1)</script>\ndone\n")
    rest = browser.session.get(f"{browser.url}/jobs/1/state.json?offset={state['offset']}", timeout=10).json()
    assert (rest["text"], rest["offset"]) == ("", state["offset"])
    for wrong in ("-1", "x", "1.5", "9" * 30):
        answer = browser.session.get(f"{browser.url}/jobs/1/state.json?offset={wrong}", timeout=10)
        assert answer.status_code == 400


def test_a_failure_is_shown_with_its_exit_code(browser: Browser):
    browser.start(**{"p.do": "fail"})
    text = browser.wait_for_end()
    assert ">failed</span>" in text
    assert "3: failure" in text


def test_settings_and_the_command_are_shown(browser: Browser):
    browser.start(**{"p.label": "it's\nso"})
    text = html.unescape(browser.wait_for_end())
    assert "python3 -u transform.py --label 'it'\"'\"'s\\nso'" in text
    assert "<dt>Token</dt>" in text


def test_the_list_has_all_jobs(browser: Browser):
    assert "No action has run yet." in browser.get("/jobs")
    browser.start()
    browser.wait_for_end()
    browser.start("preview")
    browser.wait_for_end()
    text = browser.get("/jobs")
    assert text.index('href="/jobs/2">Preview 2') < text.index('href="/jobs/1">Run 1')


@pytest.mark.parametrize("path", ["/jobs/1", "/jobs/x", "/jobs/1/state.json", "/jobs/0"])
def test_an_unknown_job_gets_a_404(browser: Browser, path: str):
    browser.get(path)
    assert browser.status == 404


@pytest.mark.parametrize("path", ["/actions", "/jobs/1/cancel", "/jobs/1/proposals"])
def test_forms_without_the_token_or_from_another_site_are_refused(browser: Browser, project: LocalProject, path: str):
    browser.start("preview")
    browser.wait_for_end()
    for fields, headers in (({}, {}), ({"token": "x"}, {}), ({}, {"Origin": "http://elsewhere.example"})):
        sent: Mapping[str, Any] = {"decision": "accept", "do": "run", "which": "all", **fields}
        answer = browser.session.post(browser.url + path, data=sent, headers=headers, timeout=10)
        assert answer.status_code == 403
    assert labels(project) == {}
    assert len(JobStore(project.store).latest()) == 1


def test_a_required_variable_that_is_missing_is_reported_at_the_start(
    project: LocalProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "block"
    folder.mkdir()
    (folder / "transform.py").write_text("import os; print('it is', os.environ['TOY_VARIABLE'])")
    (folder / "parameters.json").write_text(
        '{"version": 1, "type": "ai-action", "parameters": [], '
        '"info": {"name": "Needs", "description": "One.", "requiredEnvVariables": ["TOY_VARIABLE"]}}'
    )
    add_recording(project, 10, 100)
    with running(project, block=folder) as address:
        browser = Browser(address.url)
        assert "needs TOY_VARIABLE" in browser.start()
        assert browser.status == 422
        monkeypatch.setenv("TOY_VARIABLE", "there")
        browser.start()
        assert "it is there" in browser.wait_for_end()
        browser.session.close()


@pytest.mark.parametrize("wrong", ["x", "0", "3-1", "1-9999999999999999", "1.5", "99999999999999999", "-1"])
def test_invalid_ids_are_refused(wrong: str):
    with pytest.raises(RequestError, match="recording id"):
        parse_ids(wrong)


def test_ids_are_sorted_and_named_once():
    assert parse_ids("5-9, 1, 3-6 2") == [range(1, 2), range(2, 3), range(3, 7), range(7, 10)]
    assert parse_ids("1-9007199254740991, 5-6") == [range(1, 2**53)]
    assert parse_ids("") == []


def test_a_full_disk_shows_the_error_on_the_form_and_starts_nothing(
    browser: Browser, project: LocalProject, monkeypatch: pytest.MonkeyPatch
):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs_module.JobFiles, "make", full)
    text = browser.start(**{"p.label": "kept"})
    assert browser.status == 507
    assert "No space left on device" in text
    assert "kept</textarea>" in text
    assert JobStore(project.store).latest() == []


def test_a_job_with_a_few_failures_is_done_and_says_how_many(browser: Browser, project: LocalProject):
    jobs = JobStore(project.store)
    job = jobs.create("preview", "Toy action", {}, [1, 2, 3])
    jobs.add_details(job.id, {2: {"error": "cut off"}})
    jobs.end(job.id, "failed", 1)
    assert ">done, 1 failed</span>" in browser.get(f"/jobs/{job.id}")
    assert "Run on all with these settings" in browser.text
    assert ">done, 1 failed</span>" in browser.get("/jobs")


def test_progress_counts_audio(browser: Browser, project: LocalProject):
    jobs = JobStore(project.store)
    job = jobs.create("preview", "toy", {}, [1, 2, 3])
    jobs.add_details(job.id, {2: {"segments": []}})
    state = browser.session.get(f"{browser.url}/jobs/{job.id}/state.json", timeout=10).json()
    assert state["share"] == pytest.approx(1 / 3)
    assert state["progress"] == "1 of 3 recordings"
