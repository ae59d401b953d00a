"""A script in OpenAI's wire format: an ASGI application with `/v1/chat/completions` and `/v1/models`.

Role, turn and iteration come from the headers that our adapter sends. Without them the role is what follows `@` in the
model's name, the turn counts the calls of that role since the server started, and the iteration is the first.
"""

import asyncio
import json
from collections import Counter

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from adapters.providers.openai_compatible import ITERATION_HEADER, ROLE_HEADER, TURN_HEADER
from adapters.providers.script import ANY
from adapters.providers.scripted import Scripts, scripted_failure
from adapters.providers.scripted_answer import WireReply
from domain.models.messages import CallRefused
from domain.runs.failure import ErrorKind, PhaseError

_EVENT_STREAM = "text/event-stream"
_STATUS: dict[ErrorKind, tuple[int, str]] = {
    ErrorKind.RATE_LIMITED: (429, "rate_limit_exceeded"),
    ErrorKind.QUOTA_EXHAUSTED: (429, "insufficient_quota"),
    ErrorKind.AUTHENTICATION: (401, "invalid_api_key"),
    ErrorKind.PERMISSION: (403, "permission_denied"),
    ErrorKind.NOT_FOUND: (404, "model_not_found"),
    ErrorKind.CONTENT_FILTERED: (400, "content_filter"),
    ErrorKind.CONTEXT_LENGTH: (400, "context_length_exceeded"),
    ErrorKind.INVALID_REQUEST: (400, "invalid_request_error"),
    ErrorKind.OVERLOADED: (503, "overloaded"),
    ErrorKind.SERVER_ERROR: (500, "server_error"),
    ErrorKind.TIMEOUT: (504, "timeout"),
}
"""As OpenAI answers them; a kind that is not here comes as 500, `connection` as a cut answer, `malformed_response`
as broken JSON."""


class ScriptedWire:
    def __init__(self, scripts: Scripts, only: str | None = None) -> None:
        self._scripts = scripts
        self._only = only
        self._turns: Counter[str] = Counter()

    def application(self) -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.add_api_route("/v1/chat/completions", self.complete, methods=["POST"], response_model=None)
        app.add_api_route("/v1/models", self.models, methods=["GET"], response_model=None)
        return app

    async def models(self) -> Response:
        names = (self._only,) if self._only else self._scripts.names()
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})

    async def complete(self, request: Request) -> Response:
        try:
            body = await request.json()
            name, role, turn, iteration = self._asked(request, body)
            script, reply = self._scripts.reply(name, role, turn, iteration)
            streams = bool(body.get("stream"))
            if reply.delay_seconds:
                await asyncio.sleep(reply.delay_seconds)
            if reply.error is not None:
                return _failure(scripted_failure(name, reply.error), streams)
            answer = WireReply(
                model=script.model_answered or str(body["model"]),
                text=reply.body,
                tool_calls=reply.calls(turn, iteration),
                finish=reply.ended,
                usage=(reply.usage or script.usage).as_usage(),
            )
            if not streams:
                return JSONResponse(answer.whole())
            options = body.get("stream_options")
            with_usage = isinstance(options, dict) and bool(options.get("include_usage"))
            return StreamingResponse(answer.events(with_usage=with_usage), media_type=_EVENT_STREAM)
        except CallRefused as refused:
            return _failure(refused.error)
        except ValueError as error:
            return _failure(PhaseError(kind=ErrorKind.INVALID_REQUEST, message=str(error)))

    def _asked(self, request: Request, body: object) -> tuple[str, str, int, int]:
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise ValueError("the request is no JSON object with a `model`")
        name, _, suffix = body["model"].partition("@")
        role = request.headers.get(ROLE_HEADER) or suffix or ANY
        turn = request.headers.get(TURN_HEADER)
        if turn is None:
            self._turns[role] += 1
        counted = self._turns[role] if turn is None else int(turn)
        return self._only or name, role, counted, int(request.headers.get(ITERATION_HEADER, "1"))


def _failure(error: PhaseError, streams: bool = False) -> Response:
    """A stream that breaks or is broken began well: its status is 200."""
    begun, kind = ('data: {"id": "cut', _EVENT_STREAM) if streams else ('{"id": "cut', "application/json")
    if error.kind is ErrorKind.CONNECTION:
        return Response(begun, media_type=kind, headers={"content-length": "1000"})
    if error.kind is ErrorKind.MALFORMED_RESPONSE:
        return Response(begun + ("\n\n" if streams else ""), media_type=kind)
    status, code = _STATUS.get(error.kind, (500, "server_error"))
    headers = {} if error.retry_after_seconds is None else {"retry-after": f"{error.retry_after_seconds:g}"}
    body = {"error": {"message": error.message, "type": code, "param": None, "code": code}}
    return Response(json.dumps(body), status_code=status, media_type="application/json", headers=headers)
