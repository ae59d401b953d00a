"""Follows one run: its event stream while that works, else by looking again. Survives a restart of the API."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
from httpx_sse import SSEError

from cli.commands.client import Api, unreachable
from cli.commands.failing import UNREACHABLE, CommandError
from domain.base import Frozen
from domain.runs.views import RunView

GIVE_UP_SECONDS = 300.0
"""Without any answer of the API for this long a watch ends; the run itself does not."""
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0


class Changed(Frozen):
    """Something about the run is new."""

    view: RunView
    event: dict[str, Any] | None = None
    """What the stream told (an EventView as JSON); None where the run was only looked at."""


class Output(Frozen):
    """A piece of live output."""

    text: str
    execution: int
    """Ordinal of the execution that printed it."""


def follow(api: Api, run_id: UUID) -> Iterator[Changed | Output]:
    """The run as it is now, then what is new, until it has ended. Raises CommandError."""
    view = read(api, run_id)
    yield Changed(view=view)
    position = f"{view.newest_event}.0.0"
    answered, pause = time.monotonic(), FIRST_PAUSE_SECONDS
    while not view.status.is_final:
        try:
            with api.events(run_id, position) as stream:
                for item in stream.iter_sse():
                    answered, pause = time.monotonic(), FIRST_PAUSE_SECONDS
                    position = item.id or position
                    if item.event == "output":
                        chunk = item.json()
                        yield Output(text=str(chunk["text"]), execution=int(chunk["execution_ordinal"]))
                    elif item.event == "event":
                        view = read(api, run_id)
                        yield Changed(view=view, event=item.json())
        except (httpx.TransportError, SSEError) as error:
            if isinstance(error, httpx.RequestError) and time.monotonic() - answered > GIVE_UP_SECONDS:
                raise unreachable(api.target, error) from None
        except CommandError as error:
            if error.exit_code != UNREACHABLE or time.monotonic() - answered > GIVE_UP_SECONDS:
                raise
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        try:
            newer = read(api, run_id)
        except CommandError as error:
            if error.exit_code != UNREACHABLE or time.monotonic() - answered > GIVE_UP_SECONDS:
                raise
        else:
            answered = time.monotonic()
            if newer != view:
                view, pause = newer, FIRST_PAUSE_SECONDS
                yield Changed(view=view)


def read(api: Api, run_id: UUID) -> RunView:
    return api.get(f"/runs/{run_id}", RunView)
