"""The page with the block's form: which recordings, its parameters, and the buttons that preview or run it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from block.local_studio.data.validation import RequestError, parse_id
from block.local_studio.jobs.block import ADVANCED, SECRET, UNSUPPORTED, Block, Parameter
from block.local_studio.jobs.form import check_form
from block.local_studio.jobs.jobs import BusyError
from block.local_studio.jobs.models import MODEL
from block.local_studio.jobs.store import PREVIEW, RUN, StudioJob
from block.local_studio.web import picker, selection
from block.local_studio.web.recordings_list import HAND
from block.local_studio.web.selection import ALL, FAILED, GIVEN, UNLABELED
from block.local_studio.web.site import OTHER_LABEL, WebSite, redirect
from block.model.checkpoint import EMBEDDED

PREFIX = "p."  # of the names of the block's own fields
OVERWRITE = "overwrite-hand-labels"  # the block's flag that the checkbox about labels by hand stands for
FEW = 5  # recordings of a preview
MOST_PICKED = 20  # ids in the address that were surely picked one by one, and are all to be previewed


@dataclass(frozen=True)
class RecordingChoice:
    """The form's fields about recordings, as typed."""

    which: str = ALL
    ids: str = ""
    with_hand: bool = False
    at_most: str = str(FEW)


def routes(site: WebSite) -> list[Route]:
    """Return the routes of the form, and of its submission."""
    return [site.get("/actions", show_form), site.post("/actions", start_job)]


def show_form(site: WebSite, request: Request) -> Response:
    """Show the form with the recordings in the address and an earlier job's values."""
    query = request.query_params
    ids = ", ".join(part for part in query.getlist("ids") if part)[: selection.LONGEST_TEXT]
    which = GIVEN if ids else query.get("filter", ALL)
    count = sum(map(len, selection.parse_ids(ids)))
    at_most = count if 0 < count <= MOST_PICKED else FEW
    choice = RecordingChoice(which if which in selection.EMPTY else ALL, ids, at_most=str(at_most))
    job = _find_earlier_job(site, query.get("job"))
    parameters = dict(job.parameters if job else {})
    if model := query.get("model"):
        parameters[MODEL] = model
    return _render_form(site, request, parameters, choice, {}, like=job)


def start_job(site: WebSite, request: Request, fields: dict[str, str]) -> Response:
    """Start a preview or a run, or show the form again with what is wrong."""
    block = site.jobs.block
    choice = RecordingChoice(
        fields.get("which", ""), fields.get("ids", ""), fields.get("with-hand") == "on", fields.get("at-most", "")
    )
    typed = {name.removeprefix(PREFIX): value for name, value in fields.items() if name.startswith(PREFIX)}
    if block.item(OVERWRITE) is not None:
        typed[OVERWRITE] = "true" if choice.with_hand else "false"
    form = check_form(block, typed, os.environ)
    found = {**site.jobs.models.find_problems(form.parameters), **form.problems}
    problems = {PREFIX + item.param: found[item.param] for item in block.items if item.param in found}
    kind = RUN if fields.get("do") == RUN else PREVIEW
    at_most = choice.at_most.strip() if kind == PREVIEW else ""
    if at_most and not (at_most.isdecimal() and int(at_most[:9]) >= 1):
        problems["at-most"] = "This must be a whole number from 1 on, or nothing for all."
    ids: list[int] = []
    try:
        ids = selection.choose_ids(site.rows.load(), choice.which, choice.ids, with_hand=choice.with_hand)
    except RequestError as error:
        problems["ids" if choice.which == GIVEN else "which"] = f"{error.message[:1].upper()}{error.message[1:]}."
    if problems or _missing_variables(block):
        return _render_form(site, request, form.parameters, choice, problems, 422)
    try:
        chosen = selection.draw(ids, int(at_most[:9]) if at_most else None)
        job = site.jobs.start(kind, form.parameters, form.secrets, chosen)
    except BusyError as error:
        return _render_form(site, request, form.parameters, choice, {}, 409, busy=error.job_id)
    except RequestError as error:
        return _render_form(site, request, form.parameters, choice, {}, error.status, failure=error.message)
    return redirect(f"/jobs/{job.id}")


def _find_earlier_job(site: WebSite, job_id: str | None) -> StudioJob | None:
    """Return the job whose values the form starts with: the one asked for, or the newest of this block."""
    if job_id is not None:
        return site.jobs.store.get(parse_id(job_id, "job"))
    return next((job for job in site.jobs.store.latest() if job.block == site.jobs.block.name), None)


def _render_form(
    site: WebSite,
    request: Request,
    parameters: Mapping[str, str],
    choice: RecordingChoice,
    problems: Mapping[str, str],
    status: int = 200,
    **notes: Any,
) -> Response:
    """Render the form. `notes` may be `like`, an earlier job; `busy`, a running job's id; `failure`, a message."""
    block = site.jobs.block
    hand = block.item(OVERWRITE)
    fields = [_describe_field(item, parameters, problems) for item in block.items if item is not hand]
    rows = site.rows.load()
    count = {which: len(selection.select(rows, which)) for which in (ALL, UNLABELED, FAILED)}
    models = site.jobs.models.choices()
    chosen_model = next((field["value"] for field in fields if field["item"].param == MODEL), "")
    is_basic = [field["item"].section != ADVANCED or (models and field["item"].param == MODEL) for field in fields]
    values: dict[str, Any] = {
        "block": block,
        "basic": [field for field, basic in zip(fields, is_basic, strict=True) if basic],
        "advanced": [field for field, basic in zip(fields, is_basic, strict=True) if not basic],
        "models": models,
        "missing_model": next((one for one in models if one.name == chosen_model and not one.is_here), None),
        "embedded": EMBEDDED,
        "here": request.url.include_query_params(model=EMBEDDED).query,
        "choices": {
            ALL: f"All recordings ({count[ALL]})",
            UNLABELED: f"Those without labels ({count[UNLABELED]})",
            FAILED: f"Those that failed ({count[FAILED]})",
            GIVEN: "These, by their ids",
        },
        "chosen": choice,
        "by_hand": sum(row.labeled_by == HAND for row in rows),
        "hand": hand,
        "model_param": MODEL,
        "picked_param": picker.LABELS if picker.has_picker(site) else "",
        "confidence_param": picker.CONFIDENCE,
        "other_param": OTHER_LABEL,
        "problems": problems,
        "names": {field["id"]: field["item"].name for field in fields},
        "missing": _missing_variables(block),
        "running": site.jobs.running(),
        "like": None,
        "busy": None,
        "failure": "",
    }
    return site.render(request, "action.html", status, **values | notes)


def _describe_field(item: Parameter, parameters: Mapping[str, str], problems: Mapping[str, str]) -> dict[str, Any]:
    """Return what the template needs of a field. `is_set_outside`: the server's environment has the secret."""
    value = item.default if item.is_readonly else parameters.get(item.param, item.default)
    return {
        "id": PREFIX + item.param,
        "item": item,
        "value": "" if item.type in (SECRET, *UNSUPPORTED) else value,  # secrets aren't stored
        "problem": problems.get(PREFIX + item.param, ""),
        "is_set_outside": item.type == SECRET and bool(os.environ.get(item.param)),
    }


def _missing_variables(block: Block) -> list[str]:
    return [name for name in block.variables if name not in os.environ]
