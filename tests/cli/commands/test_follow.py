"""Following a run over streams that break, proxies that swallow them, and an API that is away for a while."""

import json
from http.server import BaseHTTPRequestHandler

import pytest

from cli.commands.client import Api
from cli.commands.failing import CommandError
from cli.commands.follow import Changed, Output, follow
from cli.commands.settings import Target
from domain.runs.views import RunView
from domain.runs.words import OutcomeKind, RunStatus
from tests.cli.commands.servers import send, serving
from tests.cli.commands.views import RUN, run

RUNNING = run(newest_event=1)
DONE = run(status=RunStatus.SUCCEEDED, outcome_kind=OutcomeKind.VERIFIED, newest_event=3)
EVENT = 'event: event\nid: 2.0.0\ndata: {"seq": 2, "type": "phase.started"}\n\n'
CHUNK = 'event: output\nid: 2.2.0\ndata: {"execution_ordinal": 2, "seq": 0, "text": "hello"}\n\n'


class FakeApi:
    """Views and streams in the order in which they are asked for; the last view stays."""

    def __init__(self, views: list[RunView | int], streams: list[str | int]) -> None:
        self.views = views
        self.streams = streams
        self.positions: list[str | None] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path.endswith("/events"):
            self.positions.append(handler.headers["Last-Event-ID"])
            stream = self.streams.pop(0) if self.streams else 503
            if isinstance(stream, int):
                send(handler, stream, json.dumps({"status": stream, "detail": "away"}))
            else:
                send(handler, 200, stream, "text/event-stream")
            return
        view = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        if isinstance(view, int):
            send(handler, view, json.dumps({"status": view, "detail": "away"}))
        else:
            send(handler, 200, view.model_dump_json())


def _follow(fake: FakeApi) -> list[Changed | Output]:
    with serving(fake) as url, Api(Target(api_url=url)) as api:
        return list(follow(api, RUN))


def test_a_run_that_has_ended_is_told_at_once() -> None:
    fake = FakeApi([DONE], [])
    assert _follow(fake) == [Changed(view=DONE)]
    assert fake.positions == []


def test_events_and_output_come_as_they_happen() -> None:
    fake = FakeApi([RUNNING, RUNNING, DONE], [EVENT + CHUNK + EVENT + "event: end\ndata: {}\n\n"])
    told = _follow(fake)
    assert [type(tick).__name__ for tick in told] == ["Changed", "Changed", "Output", "Changed"]
    assert told[1] == Changed(view=RUNNING, event={"seq": 2, "type": "phase.started"})
    assert told[2] == Output(text="hello", execution=2)
    assert told[3].view == DONE  # type: ignore[union-attr]
    assert fake.positions == ["1.0.0"]


def test_a_broken_stream_goes_on_where_it_broke() -> None:
    fake = FakeApi([RUNNING, RUNNING, RUNNING, DONE], [EVENT + CHUNK, EVENT])
    assert _follow(fake)[-1].view == DONE  # type: ignore[union-attr]
    assert fake.positions == ["1.0.0", "2.2.0"]


def test_without_streams_it_looks_again() -> None:
    fake = FakeApi([RUNNING, RUNNING, DONE], [503, "no stream"])
    fake.streams[1] = 503
    assert [tick.view for tick in _follow(fake) if isinstance(tick, Changed)] == [RUNNING, DONE]


def test_an_api_that_is_away_for_a_while_is_waited_for() -> None:
    fake = FakeApi([RUNNING, 503, 503, DONE], [503, 503, 503])
    assert [tick.view for tick in _follow(fake) if isinstance(tick, Changed)] == [RUNNING, DONE]


def test_a_run_that_is_gone_ends_the_watch() -> None:
    with pytest.raises(CommandError, match="away") as raised:
        _follow(FakeApi([RUNNING, 404], [503]))
    assert raised.value.exit_code == 2
