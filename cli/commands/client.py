"""The API over HTTP. Every answer that is no success becomes a CommandError with what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
from httpx_sse import EventSource
from pydantic import BaseModel, ValidationError

from cli.commands.failing import UNREACHABLE, CommandError, exit_code_of_http
from cli.commands.settings import Target

TIMEOUT_SECONDS = 30.0
QUIET_SECONDS = 60.0
"""An event stream without a sign of life (the server sends comments in between) for this long is dead."""

Model = TypeVar("Model", bound=BaseModel)


class Api:
    """Use as a context manager. Retries nothing: every POST carries an Idempotency-Key, so it can be sent again."""

    def __init__(self, target: Target) -> None:
        self.target = target
        headers = {"Accept": "application/json"}
        if target.api_key:
            headers["Authorization"] = f"Bearer {target.api_key}"
        self._client = httpx.Client(
            base_url=target.api_url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=not target.is_local
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    def get(self, path: str, expected: type[Model], **params: object) -> Model:
        given = {name: str(value) for name, value in params.items() if value is not None}
        return self._read(self._send("GET", path, params=given), expected)

    def post(self, path: str, body: Mapping[str, Any], expected: type[Model], *, key: str | None = None) -> Model:
        headers = {"Idempotency-Key": key or str(uuid4())}
        return self._read(self._send("POST", path, json=body, headers=headers), expected)

    def patch(self, path: str, body: Mapping[str, Any], expected: type[Model]) -> Model:
        """The same change again changes nothing: no Idempotency-Key."""
        return self._read(self._send("PATCH", path, json=body), expected)

    @contextmanager
    def events(self, run_id: UUID, last_event_id: str) -> Iterator[EventSource]:
        """The run's stream after the event named. Raises httpx.TransportError when it breaks."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx.Timeout(TIMEOUT_SECONDS, read=QUIET_SECONDS)
        with self._client.stream("GET", f"/runs/{run_id}/events", headers=headers, timeout=timeout) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                raise self._problem(response)
            yield EventSource(response)

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **arguments)
        except httpx.InvalidURL as error:
            raise CommandError(
                f"{self.target.api_url} is no address: {error}.",
                hint="Set MILLWRIGHT_API_URL to something like http://127.0.0.1:8642.",
                exit_code=UNREACHABLE,
            ) from None
        except httpx.RequestError as error:
            raise unreachable(self.target, error) from None
        if response.is_success:
            return response
        raise self._problem(response)

    def _read(self, response: httpx.Response, expected: type[Model]) -> Model:
        try:
            return expected.model_validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise CommandError(
                f"{self.target.api_url} answers, but not as Millwright does ({error.errors()[0]['msg']}).",
                hint="Is it another program, or another version of Millwright?",
                exit_code=UNREACHABLE,
            ) from None

    def _problem(self, response: httpx.Response) -> CommandError:
        """From an RFC 9457 document; or, when it is none, from the status alone."""
        code = exit_code_of_http(response.status_code)
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict) or "status" not in problem:
            return CommandError(
                f"{response.request.url} answers {response.status_code}, and not as Millwright does.",
                hint="Is MILLWRIGHT_API_URL right? A proxy may stand in between.",
                exit_code=UNREACHABLE,
            )
        hint = str(problem.get("hint") or "")
        if response.status_code == httpx.codes.UNAUTHORIZED and not self.target.api_key:
            hint = f"Set MILLWRIGHT_API_KEY to a key of {self.target.api_url}."
        message = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
        return CommandError(message, hint=hint, field=problem.get("field"), exit_code=code)


def unreachable(target: Target, error: httpx.RequestError) -> CommandError:
    what = "took too long to answer" if isinstance(error, httpx.TimeoutException) else "does not answer"
    hint = "Start it with `millwright up`; `millwright doctor` says what is wrong." if target.is_local else ""
    return CommandError(
        f"The API at {target.api_url} {what} ({str(error) or type(error).__name__}).",
        hint=hint or "Check MILLWRIGHT_API_URL and the network.",
        exit_code=UNREACHABLE,
    )
