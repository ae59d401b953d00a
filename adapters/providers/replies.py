"""A provider's response as our reply, or why it cannot be used: the same for every wire format."""

from pydantic_ai.messages import ModelResponse

from adapters.providers.conversation import finish_of, text_of, tool_calls_of
from adapters.providers.wire import Exchange
from adapters.providers.wire_errors import from_response, unusable
from domain.models.messages import ModelReply, ModelRequest, TokenUsage
from domain.runs.failure import ErrorKind


def reply_of(
    response: ModelResponse, usage: TokenUsage, seen: Exchange, what: str, request: ModelRequest
) -> ModelReply:
    """Raises CallRefused when the response carries an error, was refused or filtered, or is empty. An empty one where
    tools were offered is a badly formed turn: it goes to the caller, who counts it."""
    reply = ModelReply(
        text=text_of(response),
        usage=usage,
        model_answered=response.model_name,
        provider_response_id=response.provider_response_id,
        tool_calls=tool_calls_of(response),
        finish=finish_of(response),
    )
    refused = from_response(what, seen, reply)
    if refused is not None:
        raise refused
    if response.finish_reason == "content_filter":
        raise unusable(ErrorKind.CONTENT_FILTERED, what, "refused to answer, or a filter cut its answer", reply)
    if not reply.text and not request.tools:
        raise unusable(ErrorKind.MALFORMED_RESPONSE, what, "answered without any text", reply)
    return reply
