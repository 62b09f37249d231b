"""What the server answers to the class picker of the form."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from block.class_guide import build_guide
from block.label_search import search_classes
from block.local_studio.data.project import LocalProject
from block.local_studio.server import running
from block.local_studio.web import label_rows
from block.model.checkpoint import DEFAULT, EMBEDDED, read_checkpoint
from tests.conftest import ROOT

TOY = Path(__file__).parent / "toy_block"
OWN = ("Dog", "Bark", "<b>My</b> machine")  # the third isn't in AudioSet
CLASSES = tuple(read_checkpoint(ROOT / "models" / EMBEDDED).class_names)


class PickerClient:
    """Asks the server what the picker's script asks."""

    def __init__(self, url: str) -> None:
        self.url = url
        page = requests.get(f"{url}/actions", timeout=30).text
        found = re.search('<meta name="csrf-token" content="(.+?)">', page)
        assert found is not None
        self.page, self.token = page, found[1]

    def get(self, path: str, **query: str) -> requests.Response:
        return requests.get(f"{self.url}/actions/{path}.json", params=query, timeout=30)

    def post(self, **body: object) -> requests.Response:
        headers = {"x-csrf-token": self.token}
        return requests.post(f"{self.url}/actions/labels.json", json=body, headers=headers, timeout=30)

    def check(self, *entries: object, model: str = EMBEDDED, **more: str) -> Any:
        answer = self.post(model=model, entries=list(entries), **more)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Path | None], PickerClient]]:
    with ExitStack() as stack:

        def serve(block: Path | None) -> PickerClient:
            project = LocalProject(tmp_path)
            stack.callback(project.close)
            return PickerClient(stack.enter_context(running(project, block=block)).url)

        yield serve


@pytest.fixture
def client(start: Callable[[Path | None], PickerClient]) -> PickerClient:
    return start(None)


def test_the_form_has_the_picker_and_works_without_it(client: PickerClient) -> None:
    assert '<script src="/static/picker.js" defer></script>' in client.page
    assert re.search(r'<div class="picker" id="picker" hidden data-field="p.audioset-labels"', client.page)
    picker = client.page[client.page.index('id="picker"') :].partition("</div>\n</div>")[0]
    assert " name=" not in picker  # only the text is submitted


def test_another_blocks_form_has_no_picker(start: Callable[[Path | None], PickerClient]) -> None:
    client = start(TOY)
    assert "picker" not in client.page
    for answer in (
        client.get("classes", model=EMBEDDED),
        client.get("search", model=EMBEDDED, text="gun"),
        client.post(model=EMBEDDED, entries=["Dog"]),
    ):
        assert answer.status_code == 404


def test_every_class_of_a_model_is_listed_with_what_it_holds(client: PickerClient) -> None:
    classes = {one["name"]: one for one in client.get("classes", model=EMBEDDED).json()["classes"]}
    assert {name for name, one in classes.items() if one["isClass"]} == set(CLASSES)
    assert classes["Dog"]["groups"] == ["Animal > Domestic animals, pets"]
    assert (classes["Dog"]["total"], classes["Dog"]["kinds"][0]) == (6, "Bark")
    assert classes["Dog"]["holds"].startswith("Dog* adds 6 narrower sounds: Bark; ")
    assert {kind for one in classes.values() for kind in one["kinds"]} <= classes.keys()
    assert "" in classes["Human sounds*"]["groups"]


def test_a_model_that_can_be_fetched_has_its_classes_already(client: PickerClient) -> None:
    known = client.get("classes", model=EMBEDDED).json()
    assert client.get("classes", model=DEFAULT).json() == known


@pytest.mark.parametrize("model", ["", "nothing", "/", "../models", str(ROOT / "models" / EMBEDDED), "\0"])
def test_only_models_of_the_list_are_looked_at(client: PickerClient, model: str) -> None:
    assert client.get("classes", model=model).status_code == 404
    assert client.get("search", model=model, text="gun").status_code == 404
    assert client.post(model=model, entries=[]).status_code == 404


def test_the_search_is_the_one_of_the_command(client: PickerClient) -> None:
    for text in ("gun", "car horn", "zzz"):
        found = client.get("search", model=EMBEDDED, text=text).json()
        assert found["names"] == [entry.name for entry in search_classes(text, build_guide(CLASSES))]
    assert client.get("search", model=EMBEDDED, text="dgo").json()["names"][0] == "Dog"
    assert client.get("search", model=EMBEDDED, text="dgo").json()["isGuess"]
    assert client.get("search", model=EMBEDDED, text="zq " * 900).json()["names"] == []


def test_text_becomes_rows_and_rows_become_text(client: PickerClient) -> None:
    answer = client.check("Dog (my dog, 0.4), Animal*\nspech", confidence="0.2", other="other")
    first, second, third = answer["rows"]
    assert (first["className"], first["name"], first["threshold"]) == ("Dog", "my dog", "0.4")
    assert (second["className"], second["name"], second["threshold"]) == ("Animal*", "", "")
    assert (third["className"], third["text"], third["suggestions"][0]) == ("", "spech", "Speech")
    changed = {"className": "Dog", "name": " my\ndog ", "threshold": "0.5"}
    answer = client.check(changed, "Animal*", "spech", {"className": "Gunshot, gunfire", "name": "", "threshold": ""})
    assert answer["text"] == "Dog (my dog, 0.5)\nAnimal*\nspech\nGunshot, gunfire"
    assert [row["problem"] == "" for row in answer["rows"]] == [True, True, False, True]


def test_the_forms_other_fields_may_be_wrong(client: PickerClient) -> None:
    for confidence in ("", "x", "nan", "1e999", "-1", "7"):
        assert client.check("Dog", confidence=confidence)["rows"][0]["problem"] == ""
    assert client.check("Dog", other="Dog")["rows"][0]["note"] != ""


@pytest.mark.parametrize(
    "body",
    [{}, {"entries": "Dog"}, {"entries": [1]}, {"entries": [["Dog"]]}, {"entries": [{"className": 1}]},
     {"entries": [{"class": "Dog"}]}, {"entries": ["Dog"], "more": ""}, {"entries": ["Dog"], "other": None}],
)  # fmt: skip
def test_odd_questions_are_refused(client: PickerClient, body: dict[str, object]) -> None:
    assert client.post(**{"model": EMBEDDED, **body}).status_code == 400


def test_long_lists_are_left_to_the_text(client: PickerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = client.post(model=EMBEDDED, entries=["a" * 40_000])
    assert (answer.status_code, "40,000 characters" in answer.json()["error"]) == (413, True)
    answer = client.post(model=EMBEDDED, entries=["Dog,x," * (label_rows.MOST_ROWS // 2 + 1)])
    assert (answer.status_code, "more than 600 entries" in answer.json()["error"]) == (413, True)
    assert len(client.check("\n".join(CLASSES))["rows"]) == len(CLASSES)


def test_only_the_page_itself_can_ask_about_a_list(client: PickerClient) -> None:
    url, body = f"{client.url}/actions/labels.json", {"model": EMBEDDED, "entries": ["Dog"]}
    assert requests.post(url, json=body, timeout=30).status_code == 403
    headers = {"x-csrf-token": client.token, "Sec-Fetch-Site": "cross-site"}
    assert requests.post(url, json=body, headers=headers, timeout=30).status_code == 403
    assert requests.get(url, timeout=30).status_code == 405


def test_a_model_with_other_classes_has_those(
    start: Callable[[Path | None], PickerClient],
    tmp_path_factory: pytest.TempPathFactory,
    make_checkpoint: Callable[..., Path],
) -> None:
    block = tmp_path_factory.mktemp("block")
    for name in ("transform.py", "parameters.json", "Dockerfile.cpu"):
        shutil.copy(ROOT / name, block)
    (block / "block" / "model_store").mkdir(parents=True)
    shutil.copytree(make_checkpoint(OWN), block / "models" / "mine")
    client = start(block)
    dog, bark, mine = client.get("classes", model="mine").json()["classes"][-3:]
    assert (dog["name"], dog["kinds"], dog["total"]) == ("Dog", ["Bark"], 1)
    assert (bark["name"], mine["name"], mine["groups"]) == ("Bark", OWN[2], [""])
    assert client.get("search", model="mine", text="machine").json()["names"] == [OWN[2]]
    rows = client.check("Dog", "Speech", OWN[2], model="mine")["rows"]
    assert [row["problem"] == "" for row in rows] == [True, False, True]
