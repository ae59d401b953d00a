"""An error response of a provider -> a closed kind. Status, codes and types decide; text only where nothing else does.

Order: a code that names the kind; the text table, for shapes that give no such code; the status; its class. So an
unknown shape gets the safe kind of its status class. A 200 that carries an error is read like the status inside it.
"""

import json
import re
from collections.abc import Iterator, Mapping

from domain.base import Frozen
from domain.runs.failure import ErrorKind as K


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CODES: dict[K, frozenset[str]] = {
    K.QUOTA_EXHAUSTED: _words(
        "insufficient_quota billing_hard_limit_reached billing_not_active billing_error payment_required "
        "insufficient_credits insufficient_balance insufficient_funds credits_exhausted credit_limit_exceeded "
        "spend_limit_exceeded spending_limit_reached exceeded_current_quota_error quota_exhausted arrearage"
    ),
    K.CONTENT_FILTERED: _words(
        "content_filter content_filtered content_policy_violation responsible_ai_policy_violation invalid_prompt "
        "moderation_blocked content_moderation data_inspection_failed safety prohibited_content refusal"
    ),
    K.CONTEXT_LENGTH: _words(
        "context_length_exceeded context_window_exceeded prompt_too_long string_above_max_length request_too_large "
        "input_too_long exceed_context_size_error"
    ),
    K.AUTHENTICATION: _words(
        "invalid_api_key incorrect_api_key api_key_invalid api_key_expired authentication_error "
        "invalid_authentication unauthenticated unauthorized account_deactivated invalid_token expired_token "
        "token_expired credentials_missing unrecognized_client_exception invalid_authentication_error"
    ),
    K.NOT_FOUND: _words(
        "model_not_found not_found not_found_error deployment_not_found resource_not_found "
        "resource_not_found_exception unknown_model no_such_model invalid_model model_not_available unknown_url"
    ),
    K.PERMISSION: _words(
        "permission_error permission_denied forbidden access_denied access_denied_exception request_forbidden "
        "insufficient_permissions unsupported_country_region_territory model_access_denied"
    ),
    K.TIMEOUT: _words(
        "timeout timeout_error request_timeout gateway_timeout cf_gateway_timeout deadline_exceeded "
        "model_timeout_exception"
    ),
    K.OVERLOADED: _words(
        "overloaded overloaded_error unavailable service_unavailable service_unavailable_exception server_busy "
        "engine_overloaded engine_overloaded_error model_overloaded server_overloaded model_not_ready_exception "
        "no_capacity capacity_exceeded slow_down"
    ),
    K.RATE_LIMITED: _words(
        "rate_limit_exceeded rate_limit_error rate_limit_reached rate_limited too_many_requests throttling "
        "throttling_exception resource_exhausted rate_limit requests_limit_exceeded concurrency_limit_exceeded"
    ),
}
"""Codes and types (snake case) that name a kind, the more specific kind first."""

_TROUBLE = _words(
    "server_error internal_server_error internal_error internal api_error bad_gateway provider_error upstream_error"
)
"""Say no more than that the server failed: they count only where the status does not say otherwise."""

_ANY_4XX = frozenset({400, 403, 404, 409, 413, 422, 429})
_TEXTS: tuple[tuple[frozenset[int], re.Pattern[str], K], ...] = tuple(
    (statuses, re.compile(pattern, re.IGNORECASE), kind)
    for statuses, pattern, kind in (
        (
            _ANY_4XX,
            r"credit balance|insufficient (credits?|balance|funds)|exceeded your current quota|billing (hard )?limit",
            K.QUOTA_EXHAUSTED,
        ),
        (
            _ANY_4XX,
            r"context (length|window|size)|prompt (is )?too long|input (is )?too long|too many (input|prompt) tokens",
            K.CONTEXT_LENGTH,
        ),
        (
            _ANY_4XX,
            r"content (management )?(policy|filter)|(for|our) safety|safety (system|filter)|flagged (by|as|for)",
            K.CONTENT_FILTERED,
        ),
        (
            frozenset({400, 403}),
            r"(invalid|incorrect|expired|missing) (api[ -]?key|access token|credentials)"
            r"|(api[ -]?key|security token|access token|credentials?)\b.{0,40}\b(invalid|expired|not valid|missing)",
            K.AUTHENTICATION,
        ),
        (
            frozenset({400}),
            r"(location|region|country)\b.{0,40}\bnot supported|do(es)? not have (access|permission)",
            K.PERMISSION,
        ),
        (
            frozenset({400, 403, 422}),
            r"(model|deployment)\b.{0,120}\b(does not exist|not found|was removed|has been removed)"
            r"|not a valid model|unknown model|no such model",
            K.NOT_FOUND,
        ),
        (frozenset({400, 403, 503}), r"rate.?limit|too many requests", K.RATE_LIMITED),
        (frozenset({500, 502, 503}), r"overloaded|(over|at|out of) capacity|server is busy", K.OVERLOADED),
    )
)
"""(statuses, text, kind): each line has its test."""

_STATUS: dict[int, K] = {
    401: K.AUTHENTICATION,
    402: K.QUOTA_EXHAUSTED,
    403: K.PERMISSION,
    404: K.NOT_FOUND,
    407: K.CONNECTION,
    408: K.TIMEOUT,
    410: K.NOT_FOUND,
    413: K.CONTEXT_LENGTH,
    429: K.RATE_LIMITED,
    451: K.CONTENT_FILTERED,
    499: K.CONNECTION,
    503: K.OVERLOADED,
    504: K.TIMEOUT,
    522: K.TIMEOUT,
    524: K.TIMEOUT,
    529: K.OVERLOADED,
}

HINTS: dict[K, str] = {
    K.RATE_LIMITED: "It is tried again when the provider allows it; set the policy's limits below the provider's.",
    K.QUOTA_EXHAUSTED: "Add credit or raise the spending limit at the provider, or choose another provider.",
    K.AUTHENTICATION: "Put a valid key behind the provider's credential reference; "
    "a provider that has none is given one in the policy (`env:NAME`).",
    K.PERMISSION: "Ask the provider for access, or choose a model that this key may use.",
    K.NOT_FOUND: "Check the model's name and the provider's base_url.",
    K.CONTENT_FILTERED: "Change the prompt; the provider's filter refused it or its answer.",
    K.CONTEXT_LENGTH: "Send less context, or choose a model with a larger window.",
    K.INVALID_REQUEST: "Check the model's name and the request's options against the provider's documentation.",
    K.OVERLOADED: "It is tried again; choose another model if this lasts.",
    K.SERVER_ERROR: "It is tried again; look at the provider's status page if this lasts.",
    K.TIMEOUT: "It is tried again; ask for less in one call, or raise the time limit.",
    K.CONNECTION: "Check the provider's base_url, the network and the proxy.",
    K.MALFORMED_RESPONSE: "Check that base_url speaks the format of the provider's kind; it is asked again.",
}


class ErrorShape(Frozen):
    """An error response, read."""

    kind: K
    text: str
    """What the provider says, one line; may be empty."""


def classify(status: int, headers: Mapping[str, str], body: str) -> ErrorShape | None:
    """The kind of a response; None: it is no error. `headers` with lower-case names."""
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    if status < 300:
        return _inside_success(parsed)
    if status < 400:
        return ErrorShape(kind=K.INVALID_REQUEST, text=f"redirected to {headers.get('location', 'nowhere')[:200]}")
    return ErrorShape(kind=_kind(status, headers, parsed, body), text=_text(parsed, body))


def is_error_inside(parsed: object) -> object | None:
    """The error object that a successful response carries, at its top or in its first choice."""
    if not isinstance(parsed, dict):
        return None
    if parsed.get("error"):
        return {"error": parsed["error"]}
    choices = parsed.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return {"error": first["error"]} if isinstance(first, dict) and first.get("error") else None


def _inside_success(parsed: object) -> ErrorShape | None:
    if parsed is None:
        return ErrorShape(kind=K.MALFORMED_RESPONSE, text="the response is not JSON")
    error = is_error_inside(parsed)
    if error is None:
        return None
    status = next((int(c) for c in _signals(error) if re.fullmatch(r"[45]\d\d", c)), 500)
    return ErrorShape(kind=_kind(status, {}, error, ""), text=_text(error, ""))


def _kind(status: int, headers: Mapping[str, str], parsed: object, body: str) -> K:
    codes = {_snake(code) for code in _signals(parsed)} | {_snake(headers.get("x-amzn-errortype", "").split(":")[0])}
    for kind, words in _CODES.items():
        if codes & words:
            return kind
    if codes & _TROUBLE and status >= 500 and status not in _STATUS:
        return K.SERVER_ERROR
    text = _text(parsed, body)
    for statuses, pattern, kind in _TEXTS:
        if status in statuses and pattern.search(text):
            return kind
    return _STATUS.get(status, K.SERVER_ERROR if status >= 500 else K.INVALID_REQUEST)


def _signals(parsed: object, depth: int = 0) -> Iterator[str]:
    """Every code, type, status and reason of an error object, the nested ones included."""
    if depth > 5:
        return
    if isinstance(parsed, list):
        for item in parsed[:20]:
            yield from _signals(item, depth + 1)
    if not isinstance(parsed, dict):
        return
    for name in ("code", "type", "__type", "status", "reason", "error_type"):
        value = parsed.get(name)
        if isinstance(value, (str, int)):
            yield str(value)
    for name in ("error", "errors", "innererror", "inner_error", "details", "detail"):
        yield from _signals(parsed.get(name), depth + 1)


def _text(parsed: object, body: str) -> str:
    """The provider's own words: the message, and what an upstream behind it said."""
    if isinstance(parsed, list):
        parsed = parsed[0] if parsed else {}
    if not isinstance(parsed, dict):
        return " ".join(re.sub(r"<[^>]{0,500}>", " ", body[:4_000]).split())[:500]
    error = parsed.get("error") or parsed
    if isinstance(error, str):
        return error[:500]
    found: list[str] = []
    if isinstance(error, dict):
        metadata = error.get("metadata")
        raw = metadata.get("raw") if isinstance(metadata, dict) else None
        found = [v for v in (error.get("message"), error.get("detail"), raw) if isinstance(v, str)]
    return " ".join(": ".join(found).split())[:500]


def _snake(code: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", code).replace("-", "_").replace(" ", "_").lower()
