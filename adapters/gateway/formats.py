"""Every format and what is done in it: the one list."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.gateway.chat.meter import ChatMeter
from adapters.gateway.chat.reply import streamed_chat, whole_chat
from adapters.gateway.chat.request import read_chat
from adapters.gateway.messages.meter import MessagesMeter
from adapters.gateway.messages.reply import streamed_messages, whole_messages
from adapters.gateway.messages.request import read_messages
from adapters.gateway.metering import Meter
from adapters.gateway.responses.meter import ResponsesMeter
from adapters.gateway.responses.reply import streamed_responses, whole_responses
from adapters.gateway.responses.request import read_responses
from adapters.gateway.sse import event
from adapters.gateway.translated import Translated
from adapters.gateway.untranslatable import Refusals
from domain.gateway.wire import WireFormat
from domain.models.messages import ModelReply

Rendered = Callable[[ModelReply, Mapping[str, object]], bytes]
"""(reply, the client's request) -> the response's body."""


@dataclass(frozen=True)
class Format:
    meter: Callable[[], Meter]
    read: Callable[[dict[str, object], Refusals], Translated]
    whole: Rendered
    streamed: Rendered
    limits: tuple[str, ...]
    """Members of a request that limit its output tokens, the one that counts first."""
    still_there: bytes
    """What keeps a stream open that has nothing to tell yet."""


FORMATS: dict[WireFormat, Format] = {
    WireFormat.OPENAI_CHAT: Format(
        meter=ChatMeter,
        read=read_chat,
        whole=whole_chat,
        streamed=streamed_chat,
        limits=("max_completion_tokens", "max_tokens"),
        still_there=b": still there\n\n",
    ),
    WireFormat.OPENAI_RESPONSES: Format(
        meter=ResponsesMeter,
        read=read_responses,
        whole=whole_responses,
        streamed=streamed_responses,
        limits=("max_output_tokens",),
        still_there=b": still there\n\n",
    ),
    WireFormat.ANTHROPIC_MESSAGES: Format(
        meter=MessagesMeter,
        read=read_messages,
        whole=whole_messages,
        streamed=streamed_messages,
        limits=("max_tokens",),
        still_there=event(json.dumps({"type": "ping"}), "ping"),
    ),
}
