"""Our own refusals in the words of each format: status, type and code by error kind, and whether to try again."""

import json
import math

from adapters.gateway.sse import event
from domain.gateway.wire import WireFormat, WireResponse
from domain.runs.failure import ErrorKind as K
from domain.runs.failure import PhaseError

_OPENAI: dict[K, tuple[int, str, str]] = {
    K.RATE_LIMITED: (429, "rate_limit_error", "rate_limit_exceeded"),
    K.QUOTA_EXHAUSTED: (429, "insufficient_quota", "insufficient_quota"),
    K.AUTHENTICATION: (401, "invalid_request_error", "invalid_api_key"),
    K.WORKER_LOST: (401, "invalid_request_error", "invalid_api_key"),
    K.PERMISSION: (403, "permission_error", "permission_denied"),
    K.POLICY_BLOCKED: (403, "permission_error", "model_not_allowed"),
    K.NOT_FOUND: (404, "invalid_request_error", "not_found"),
    K.CONTENT_FILTERED: (400, "invalid_request_error", "content_filter"),
    K.CONTEXT_LENGTH: (400, "invalid_request_error", "context_length_exceeded"),
    K.INVALID_REQUEST: (400, "invalid_request_error", "invalid_request"),
    K.OVERSIZED: (413, "invalid_request_error", "request_too_large"),
    K.OVERLOADED: (503, "server_error", "overloaded"),
    K.STORAGE: (503, "server_error", "unavailable"),
    K.TIMEOUT: (504, "server_error", "timeout"),
    K.CONNECTION: (502, "server_error", "upstream_connection"),
    K.MALFORMED_RESPONSE: (502, "server_error", "upstream_malformed"),
    K.CANCELLED: (503, "server_error", "cancelled"),
}
"""status, type, code; a kind that is not here is 500."""

_ANTHROPIC: dict[K, tuple[int, str]] = {
    K.RATE_LIMITED: (429, "rate_limit_error"),
    K.QUOTA_EXHAUSTED: (402, "billing_error"),
    K.AUTHENTICATION: (401, "authentication_error"),
    K.WORKER_LOST: (401, "authentication_error"),
    K.PERMISSION: (403, "permission_error"),
    K.POLICY_BLOCKED: (403, "permission_error"),
    K.NOT_FOUND: (404, "not_found_error"),
    K.CONTENT_FILTERED: (400, "invalid_request_error"),
    K.CONTEXT_LENGTH: (400, "invalid_request_error"),
    K.INVALID_REQUEST: (400, "invalid_request_error"),
    K.OVERSIZED: (413, "request_too_large"),
    K.OVERLOADED: (529, "overloaded_error"),
    K.STORAGE: (503, "overloaded_error"),
    K.TIMEOUT: (504, "timeout_error"),
    K.CONNECTION: (502, "api_error"),
    K.MALFORMED_RESPONSE: (502, "api_error"),
    K.CANCELLED: (503, "api_error"),
}

_AGAIN = frozenset({K.RATE_LIMITED, K.OVERLOADED, K.STORAGE, K.TIMEOUT, K.CONNECTION, K.SERVER_ERROR, K.CANCELLED})
"""A client that asks again may be answered; for every other kind it is told not to (`x-should-retry`)."""


def failure(format: WireFormat, error: PhaseError) -> WireResponse:
    """The response that stands for a refusal, for a client of this format."""
    headers = [("content-type", "application/json"), ("x-should-retry", str(error.kind in _AGAIN).lower())]
    if error.retry_after_seconds is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after_seconds))))
    status = (_ANTHROPIC if format is WireFormat.ANTHROPIC_MESSAGES else _OPENAI).get(error.kind, (500,))[0]
    return WireResponse(status=status, headers=tuple(headers), body=json.dumps(_object(format, error)).encode())


def failure_event(format: WireFormat, error: PhaseError) -> bytes:
    """The event that ends a stream which has begun; the empty line before it ends what may have been cut."""
    told = _object(format, error)
    match format:
        case WireFormat.ANTHROPIC_MESSAGES:
            return b"\n\n" + event(json.dumps(told), "error")
        case WireFormat.OPENAI_RESPONSES:
            _, type_, code = _OPENAI.get(error.kind, (500, "server_error", "server_error"))
            response = {
                "id": "resp_failed",
                "object": "response",
                "status": "failed",
                "error": {"type": type_, "code": code, "message": _message(error)},
                "output": [],
            }
            last = {"type": "response.failed", "sequence_number": 1_000_000, "response": response}
            return b"\n\n" + event(json.dumps(last), "response.failed")
        case _:
            return b"\n\n" + event(json.dumps(told))


def _object(format: WireFormat, error: PhaseError) -> dict[str, object]:
    if format is WireFormat.ANTHROPIC_MESSAGES:
        _, type_ = _ANTHROPIC.get(error.kind, (500, "api_error"))
        return {"type": "error", "error": {"type": type_, "message": _message(error)}}
    _, type_, code = _OPENAI.get(error.kind, (500, "server_error", "server_error"))
    return {"error": {"message": _message(error), "type": type_, "param": None, "code": code}}


def _message(error: PhaseError) -> str:
    return f"{error.message} {error.hint}".strip()
