"""/ui/runs/{id}: what happened, why, what now? The page, its live parts, its live log, and the cancel form."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from api.deps import Deps, Operator, TheDeps, Viewer
from api.routes.events import From, TheRun
from api.web.ansi import AnsiHtml
from api.web.headline import headline
from api.web.log import block_title, read_log
from api.web.pages.context import signed_in_page
from api.web.rail import rail, running_attempt
from api.web.so_far import models_of, used_so_far
from domain.runs.views import AttemptView, ChunkView, ExecutionView, RunView, StepView

router = APIRouter()

STEPS_SHOWN = 8

LogPhase = Annotated[str | None, Query(alias="log", max_length=100)]


def _steps(run: RunView) -> list[tuple[AttemptView, StepView]]:
    """In the order in which they began."""
    found = [
        (attempt, step)
        for phase in run.phases
        for attempt in phase.attempts
        for step in (*attempt.waits, *(step for execution in attempt.executions for step in execution.steps))
    ]
    return sorted(found, key=lambda pair: pair[1].started_at)


def _models(run: RunView) -> list[str]:
    """Every model that was asked, in the order of first use; an attempt that runs, or was ended, by its steps."""
    named = [name for phase in run.phases for each in phase.attempts for name in models_of(each)]
    return list(dict.fromkeys(named))


def _parts(deps: Deps, run: RunView, *, all_steps: bool) -> dict[str, Any]:
    running = running_attempt(run)
    steps = _steps(run)
    commits = [each.commit for phase in run.phases for each in phase.attempts if each.commit is not None]
    return {
        "run": run,
        "headline": headline(run, running),
        "running": running,
        "rail": rail(run),
        "models": _models(run),
        "so_far": used_so_far(running),
        "steps": steps if all_steps else steps[-STEPS_SHOWN:],
        "steps_left_out": 0 if all_steps else max(len(steps) - STEPS_SHOWN, 0),
        "price_versions": sorted({step.price_version for _, step in steps if step.price_version}),
        "commits": commits,
        "temporal_link": _temporal_link(deps, run),
    }


def _temporal_link(deps: Deps, run: RunView) -> str | None:
    base = deps.settings.temporal_ui_url
    if base is None:
        return None
    quoted = run.workflow_id.replace("%", "%25").replace("/", "%2F")
    link = f"{base.rstrip('/')}/namespaces/{deps.settings.temporal_namespace}/workflows/{quoted}"
    return f"{link}/{run.workflow_run_id}/history" if run.workflow_run_id else link


@router.get("/ui/runs/{run_id}")
async def show(
    run_id: UUID, deps: TheDeps, caller: Viewer, log: LogPhase = None, steps: str | None = None
) -> HTMLResponse:
    org_id = caller.principal.org_id
    run = await deps.views.run(org_id, run_id)
    shown = await read_log(deps.views, deps.artifacts, org_id, run, log)
    parts = _parts(deps, run, all_steps=steps == "all")
    return signed_in_page("run.html", caller, "/ui/runs", log=shown, log_phase=log, swapped=False, **parts)


@router.get("/ui/runs/{run_id}/parts")
async def parts(run_id: UUID, deps: TheDeps, caller: Viewer, steps: str | None = None) -> HTMLResponse:
    """What changes while a run lives, to be swapped in place by id."""
    run = await deps.views.run(caller.principal.org_id, run_id)
    context = _parts(deps, run, all_steps=steps == "all")
    return signed_in_page("_run_parts.html", caller, "/ui/runs", swapped=True, **context)


@router.get("/ui/runs/{run_id}/live", response_class=EventSourceResponse)
async def live(
    run: TheRun, deps: TheDeps, caller: Viewer, start: From, log: LogPhase = None
) -> AsyncIterator[ServerSentEvent]:
    """The stream as the page needs it: output as safe HTML, events as "look again"."""
    org_id = caller.principal.org_id
    yield ServerSentEvent(comment="open", retry=1000)
    titles = _Titles(deps, org_id, run)
    colours: dict[int, AnsiHtml] = {}
    async for seen in deps.stream.follow(org_id, run, start):
        if not isinstance(seen.item, ChunkView):
            yield ServerSentEvent(event="changed", data={"seq": seen.item.seq}, id=str(seen.position))
            continue
        phase, title = await titles.of(seen.item.execution_ordinal)
        if log is not None and phase != log:
            continue
        if seen.anew:
            colours.pop(seen.item.execution_ordinal, None)
        renderer = colours.setdefault(seen.item.execution_ordinal, AnsiHtml())
        data: dict[str, object] = {"block": seen.item.execution_ordinal, "title": title, "anew": seen.anew}
        data["html"] = str(renderer.feed(seen.item.text))
        yield ServerSentEvent(event="output", data=data, id=str(seen.position))
    if not deps.stream.stopping.is_set():
        yield ServerSentEvent(event="end", data={})


class _Titles:
    """Headings of blocks by execution ordinal; an unknown one is read once."""

    def __init__(self, deps: Deps, org_id: UUID, run: RunView) -> None:
        self._deps, self._org_id, self._run_id = deps, org_id, run.id
        self._known = _titles(run)

    async def of(self, ordinal: int) -> tuple[str, str]:
        if ordinal not in self._known:
            self._known.update(_titles(await self._deps.views.run(self._org_id, self._run_id)))
        return self._known.setdefault(ordinal, ("", f"execution {ordinal}"))


def _titles(run: RunView) -> dict[int, tuple[str, str]]:
    pairs: list[tuple[AttemptView, ExecutionView]] = [
        (attempt, execution) for phase in run.phases for attempt in phase.attempts for execution in attempt.executions
    ]
    return {execution.ordinal: (attempt.phase, block_title(attempt, execution)) for attempt, execution in pairs}


@router.post("/ui/runs/{run_id}/cancel")
async def cancel(
    run_id: UUID,
    deps: TheDeps,
    caller: Operator,
    reason: Annotated[str, Form(max_length=4_000)] = "",
    idempotency_key: Annotated[str | None, Form(max_length=200)] = None,
) -> Response:
    await deps.requests.cancel_run(
        caller.principal.org_id,
        run_id,
        actor=caller.principal.actor,
        reason=reason,
        idempotency_key=idempotency_key,
    )
    deps.wake_relay()
    return RedirectResponse(f"/ui/runs/{run_id}", status_code=303)
