"""The page with the block's form: which recordings, its parameters, and the buttons that preview or run it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from block.local_studio.data.validation import RequestError, parse_id
from block.local_studio.jobs.block import ADVANCED, ELSEWHERE, SECRET, Block, Parameter
from block.local_studio.jobs.form import check_form, is_shown
from block.local_studio.jobs.jobs import BusyError
from block.local_studio.jobs.store import PREVIEW, RUN, StudioJob
from block.local_studio.web import selection
from block.local_studio.web.selection import ALL, FAILED, GIVEN, UNLABELLED
from block.local_studio.web.site import WebSite, in_thread

PREFIX = "p."  # of the names of the block's own fields
OVERWRITE = "overwrite-hand-labels"  # a block's flag with this name is what the box about labels by hand means
FEW = 5  # recordings that a preview is made of
MOST_PICKED = 20  # recordings in the address that were surely picked one by one, and are all to be previewed


@dataclass(frozen=True)
class RecordingChoice:
    """What the form says about recordings, as typed."""

    which: str = ALL
    ids: str = ""
    with_hand: bool = False
    at_most: str = str(FEW)


@dataclass(frozen=True)
class FormRow:
    """An item on the form, its value and what is wrong with it. `is_set_outside`: the server's environment has it."""

    item: Parameter
    value: str
    problem: str
    is_shown: bool
    is_set_outside: bool

    @property
    def id(self) -> str:
        return PREFIX + self.item.param


def routes(site: WebSite) -> list[BaseRoute]:
    """The form, and what it is sent to."""

    async def show(request: Request) -> Response:
        return await in_thread(_empty, site, request)  # type: ignore[no-any-return]

    async def start(request: Request) -> Response:
        fields = await site.form(request)
        return await in_thread(_start, site, request, fields)  # type: ignore[no-any-return]

    return [Route("/actions", show, methods=["GET"]), Route("/actions", start, methods=["POST"])]


def _empty(site: WebSite, request: Request) -> Response:
    query = request.query_params
    ids = ", ".join(part for part in query.getlist("ids") if part)[: selection.LONGEST_TEXT]
    which = GIVEN if ids else query.get("filter", ALL)
    count = len(selection.named(ids))
    at_most = count if count and count <= MOST_PICKED else FEW
    chosen = RecordingChoice(which if which in selection.WHICH else ALL, ids, at_most=str(at_most))
    job = _like(site, query.get("job"))
    parameters = job.parameters if job is not None else {}
    return _page(site, request, parameters, chosen, {}, like=job)


def _like(site: WebSite, job_id: str | None) -> StudioJob | None:
    """The job whose values the form begins with: the one asked for, or the newest of this block."""
    if job_id is not None:
        return site.jobs.store.get(parse_id(job_id, "job"))
    return next((job for job in site.jobs.store.latest() if job.block == site.jobs.block.name), None)


def _start(site: WebSite, request: Request, fields: Mapping[str, str]) -> Response:
    block = site.jobs.block
    chosen = RecordingChoice(
        fields.get("which", ""), fields.get("ids", ""), fields.get("with-hand") == "on", fields.get("at-most", "")
    )
    typed = {name.removeprefix(PREFIX): value for name, value in fields.items() if name.startswith(PREFIX)}
    if block.item(OVERWRITE) is not None:
        typed[OVERWRITE] = "true" if chosen.with_hand else "false"
    form = check_form(block, typed, os.environ)
    problems = {PREFIX + param: problem for param, problem in form.problems.items()}
    kind = RUN if fields.get("do") == RUN else PREVIEW
    ids: list[int] = []
    count = None
    if kind == PREVIEW and chosen.at_most.strip():
        if not chosen.at_most.strip().isdecimal() or int(chosen.at_most.strip()[:9]) < 1:
            problems["at-most"] = "This must be a whole number from 1 on, or nothing for all."
        else:
            count = int(chosen.at_most.strip()[:9])
    try:
        ids = selection.chosen(site.project, site.jobs.store, chosen.which, chosen.ids, with_hand=chosen.with_hand)
    except RequestError as error:
        problems["ids" if chosen.which == GIVEN else "which"] = f"{error.message[:1].upper()}{error.message[1:]}."
    missing = _missing_variables(block)
    if problems or missing:
        return _page(site, request, form.parameters, chosen, problems, status=422)
    try:
        job = site.jobs.start(kind, form.parameters, form.secrets, selection.few(ids, count))
    except BusyError as error:
        return _page(site, request, form.parameters, chosen, {}, status=409, busy=error.job_id)
    except RequestError as error:
        return _page(site, request, form.parameters, chosen, {}, status=error.status, failure=error.message)
    return site.to(f"/jobs/{job.id}")


def _page(
    site: WebSite,
    request: Request,
    parameters: Mapping[str, str],
    chosen: RecordingChoice,
    problems: Mapping[str, str],
    *,
    status: int = 200,
    like: StudioJob | None = None,
    busy: int | None = None,
    failure: str = "",
) -> Response:
    block = site.jobs.block
    hand = block.item(OVERWRITE)
    rows = [_row(block, item, parameters, problems) for item in block.items if item is not hand]
    running = site.jobs.running()
    values: dict[str, Any] = {
        "block": block,
        "basic": [row for row in rows if row.item.section != ADVANCED],
        "advanced": [row for row in rows if row.item.section == ADVANCED],
        "choices": _choices(site, chosen),
        "chosen": chosen,
        "hand": hand,
        "problems": problems,
        "names": {row.id: row.item.name for row in rows},
        "missing": _missing_variables(block),
        "like": like,
        "running": running,
        "busy": busy,
        "failure": failure,
        "few": FEW,
    }
    return site.page(request, "action.html", status, **values)


def _choices(site: WebSite, chosen: RecordingChoice) -> dict[str, Any]:
    found = selection.offer(site.project, site.jobs.store)
    of = found.counts
    return {
        "by_hand": found.by_hand,
        "of": [
            (ALL, f"All recordings ({of[ALL]})"),
            (UNLABELLED, f"Those without labels ({of[UNLABELLED]})"),
            (FAILED, f"Those that failed ({of[FAILED]})"),
            (GIVEN, "These, by their ids"),
        ],
        "which": chosen.which,
    }


def _row(block: Block, item: Parameter, parameters: Mapping[str, str], problems: Mapping[str, str]) -> FormRow:
    # Secrets are not kept, so there is none to show.
    value = "" if item.type in (SECRET, *ELSEWHERE) else parameters.get(item.param, item.default)
    return FormRow(
        item=item,
        value=item.default if item.is_readonly else value,
        problem=problems.get(PREFIX + item.param, ""),
        is_shown=is_shown(block, item, parameters),
        is_set_outside=item.type == SECRET and bool(os.environ.get(item.param)),
    )


def _missing_variables(block: Block) -> list[str]:
    return [name for name in block.variables if name not in os.environ]
