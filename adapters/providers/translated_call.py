"""A client's call whose provider speaks another format: text and tools go through the provider's own adapter.

The answer comes at once and late; until then a client that asked for a stream hears that it is still awaited.
"""

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal

from adapters.gateway.formats import FORMATS
from adapters.gateway.headers import Headers
from adapters.gateway.reading import parsed
from adapters.gateway.translated import turn_of
from adapters.gateway.untranslatable import Refusals, invalid_request
from domain.gateway.wire import WireAnswer, WireRequest
from domain.models.messages import ModelReply, ModelRequest, TokenUsage
from domain.models.policy import ProviderKind, ProviderSettings
from domain.models.ports import ModelProvider
from domain.redaction import Redactor

_STILL_THERE_SECONDS = 10.0
_DEFAULT_OUTPUT_TOKENS = 16_000
"""Where the client sets no limit, as everywhere in our calls."""
_EVENT_STREAM: Headers = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
_JSON: Headers = (("content-type", "application/json"),)


class TranslatedCall:
    """One call, once."""

    def __init__(
        self,
        asked: WireRequest,
        answer: WireAnswer,
        *,
        providers: Mapping[ProviderKind, ModelProvider],
        redactor: Redactor,
        still_there_seconds: float = _STILL_THERE_SECONDS,
    ) -> None:
        self._asked = asked
        self._answer = answer
        self._providers = providers
        self._redactor = redactor
        self._format = FORMATS[asked.format]
        self._still_there_seconds = still_there_seconds

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        body = parsed(self._asked.body)
        if self._asked.operation == "count_tokens":
            return self._estimated(body)
        own = self._own(request, settings, body)
        reply, begun = await self._kept_open(own, settings)
        data = (self._format.streamed if self._asked.stream else self._format.whole)(reply, body)
        shown = self._redactor.redact_known(data.decode("utf-8", "replace")).encode("utf-8", "replace")
        if begun:
            self._answer.hold(shown)
        else:
            self._answer.hold_whole(200, _EVENT_STREAM if self._asked.stream else _JSON, shown)
        return reply

    def _own(self, request: ModelRequest, settings: ProviderSettings, body: dict[str, object]) -> ModelRequest:
        refusals = Refusals()
        if self._asked.operation:
            refusals.add(f"the operation {self._asked.operation}")
        read = self._format.read(body, refusals)
        refusals.settle(settings.name)
        if not read.messages:
            raise invalid_request("The request has no messages.")
        return request.model_copy(
            update={
                "messages": read.messages,
                "tools": read.tools,
                "turn": turn_of(body),
                "max_output_tokens": read.max_output_tokens or _DEFAULT_OUTPUT_TOKENS,
                "json_schema": read.json_schema,
                "seed": read.seed,
            }
        )

    async def _kept_open(self, own: ModelRequest, settings: ProviderSettings) -> tuple[ModelReply, bool]:
        """The reply, and whether the client's stream has begun meanwhile."""
        task = asyncio.ensure_future(self._providers[settings.kind].call(own, settings))
        begun = False
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=self._still_there_seconds)
                if done:
                    return task.result(), begun
                if self._asked.stream:
                    if not begun:
                        await self._answer.begin(200, _EVENT_STREAM)
                        begun = True
                    await self._answer.send(self._format.still_there)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _estimated(self, body: dict[str, object]) -> ModelReply:
        """Across formats nobody counts for this model: four bytes a token, of all that is no addressing."""
        said = {name: value for name, value in body.items() if name not in ("model", "stream")}
        size = len(json.dumps(said, default=str, ensure_ascii=False).encode("utf-8", "replace"))
        counted = json.dumps({"input_tokens": size // 4 + 1})
        self._answer.hold_whole(200, _JSON, counted.encode())
        return ModelReply(text=counted, usage=TokenUsage(billed_usd=Decimal(0)))
