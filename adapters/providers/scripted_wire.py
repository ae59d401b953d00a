"""A script in OpenAI's wire format: an ASGI application with `/v1/chat/completions` and `/v1/models`.

Role and turn come from the headers that our adapter sends; without them the role is what follows `@` in the model's
name, and the turn counts the calls of that role since the server started.
"""

import asyncio
import json
import time
from collections import Counter
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from adapters.providers.openai_compatible import ROLE_HEADER, TURN_HEADER
from adapters.providers.script import ANY, ScriptedReply
from adapters.providers.scripted import Scripts, scripted_failure
from domain.models.messages import CallRefused, TokenUsage
from domain.runs.failure import ErrorKind, PhaseError

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
            name, role, turn = self._asked(request, body)
            script, reply = self._scripts.reply(name, role, turn, 1)
            if reply.delay_seconds:
                await asyncio.sleep(reply.delay_seconds)
            if reply.error is not None:
                return _failure(scripted_failure(name, reply.error))
            usage = (reply.usage or script.usage).as_usage()
            return JSONResponse(_completion(script.model_answered or str(body["model"]), reply, usage))
        except CallRefused as refused:
            return _failure(refused.error)
        except ValueError as error:
            return _failure(PhaseError(kind=ErrorKind.INVALID_REQUEST, message=str(error)))

    def _asked(self, request: Request, body: object) -> tuple[str, str, int]:
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise ValueError("the request is no JSON object with a `model`")
        if body.get("stream"):
            raise ValueError("`stream` is not served by a script; leave it out")
        name, _, suffix = body["model"].partition("@")
        role = request.headers.get(ROLE_HEADER) or suffix or ANY
        turn = request.headers.get(TURN_HEADER)
        if turn is None:
            self._turns[role] += 1
        return self._only or name, role, self._turns[role] if turn is None else int(turn)


def _completion(model: str, reply: ScriptedReply, usage: TokenUsage) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply.body}}],
        **({} if usage.tokens_in is None or usage.tokens_out is None else {"usage": _usage(usage)}),
    }


def _usage(usage: TokenUsage) -> dict[str, object]:
    found: dict[str, object] = {
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
        "total_tokens": (usage.tokens_in or 0) + (usage.tokens_out or 0),
    }
    if usage.tokens_cached is not None:
        found["prompt_tokens_details"] = {"cached_tokens": usage.tokens_cached}
    if usage.billed_usd is not None:
        found["cost"] = float(usage.billed_usd)
    return found


def _failure(error: PhaseError) -> Response:
    if error.kind is ErrorKind.CONNECTION:
        return Response('{"id": ', media_type="application/json", headers={"content-length": "1000"})
    if error.kind is ErrorKind.MALFORMED_RESPONSE:
        return Response('{"id": "cut', media_type="application/json")
    status, code = _STATUS.get(error.kind, (500, "server_error"))
    headers = {} if error.retry_after_seconds is None else {"retry-after": f"{error.retry_after_seconds:g}"}
    body = {"error": {"message": error.message, "type": code, "param": None, "code": code}}
    return Response(json.dumps(body), status_code=status, media_type="application/json", headers=headers)
