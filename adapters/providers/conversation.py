"""Our messages and tools as the wire library's, and what it read of a reply as ours: the same for every wire format.

Arguments of a tool call stay text on their way in: what is no JSON reaches the caller as it came. On their way back to
a model they must be an object, so the library wraps such text as `{"INVALID_JSON": text}`.
"""

import json

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.messages import ModelRequest as WireRequest
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition

from domain.models.messages import Finish, Message, ModelRequest, Speaker, ToolCall

EMPTY_RESULT = "(empty)"
"""What a model is told of a tool that said nothing."""

_FINISH = {"stop": Finish.STOP, "length": Finish.LENGTH, "tool_call": Finish.TOOL_CALLS}


def wire_messages(request: ModelRequest) -> list[ModelMessage]:
    messages: list[ModelMessage] = []
    for message in request.messages:
        match message.speaker:
            case Speaker.ASSISTANT:
                messages.append(ModelResponse(parts=_said(message)))
            case Speaker.SYSTEM:
                messages.append(WireRequest(parts=[SystemPromptPart(content=message.text)]))
            case Speaker.USER:
                messages.append(WireRequest(parts=_asked(message)))
    return messages


def _said(message: Message) -> list[ModelResponsePart]:
    calls = [
        ToolCallPart(tool_name=call.name, args=call.arguments, tool_call_id=call.id) for call in message.tool_calls
    ]
    return [*([TextPart(content=message.text)] if message.text or not calls else []), *calls]


def _asked(message: Message) -> list[ModelRequestPart]:
    """Results first: providers want them right behind their calls. Anthropic refuses an empty text."""
    results = [
        ToolReturnPart(
            tool_name=result.name,
            content=result.text or EMPTY_RESULT,
            tool_call_id=result.call_id,
            outcome="failed" if result.is_error else "success",
        )
        for result in message.tool_results
    ]
    return [*results, *([UserPromptPart(content=message.text)] if message.text or not results else [])]


def wire_parameters(request: ModelRequest, *, native_schema: bool = True) -> ModelRequestParameters:
    """Schemas of tools go as they are: the library would make some strict, which not every server takes.
    `native_schema`: the model holds to a schema of its answer by itself; else it is told the schema."""
    tools = [
        ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=dict(tool.parameters),
            strict=False,
        )
        for tool in request.tools
    ]
    if request.json_schema is None:
        return ModelRequestParameters(function_tools=tools)
    return ModelRequestParameters(
        function_tools=tools,
        output_mode="native" if native_schema else "prompted",
        output_object=OutputObjectDefinition(json_schema=request.json_schema, name="answer"),
    )


def text_of(response: ModelResponse) -> str:
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def tool_calls_of(response: ModelResponse) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(id=part.tool_call_id, name=part.tool_name, arguments=_arguments(part.args))
        for part in response.parts
        if isinstance(part, ToolCallPart)
    )


def _arguments(args: object) -> str:
    if isinstance(args, str):
        return args
    return json.dumps(args or {}, ensure_ascii=False)


def finish_of(response: ModelResponse) -> Finish | None:
    """None where the provider itself says nothing; the library assumes an end then."""
    if not (response.provider_details or {}).get("finish_reason"):
        return None
    return _FINISH.get(response.finish_reason or "")
