"""Anthropic's messages -> our messages and tools."""

import json

from adapters.gateway.reading import count, items, obj, text
from adapters.gateway.translated import Conversation, Translated
from adapters.gateway.untranslatable import Refusals
from domain.models.messages import Speaker, ToolCall, ToolSpec

_TUNING = "temperature top_p top_k metadata thinking service_tier cache_control context_management speed inference_geo"
_TOOL_TUNING = "cache_control strict eager_input_streaming defer_loading input_examples type"


def read_messages(body: dict[str, object], refusals: Refusals) -> Translated:
    refusals.rest(
        body,
        "",
        known="model messages system tools tool_choice max_tokens stream output_config output_format",
        tuning=_TUNING,
    )
    conversation = Conversation()
    system = _text(body.get("system"), "system", refusals)
    if system:
        conversation.say(Speaker.SYSTEM, system)
    messages = [obj(message) for message in items(body.get("messages"))]
    for index, message in enumerate(messages):
        _message(message, f"messages[{index}]", conversation, refusals)
    if messages and messages[-1].get("role") == "assistant":
        refusals.add("messages that end with the assistant's own beginning")
    choice = obj(body.get("tool_choice")).get("type")
    if choice not in (None, "auto", "none"):
        refusals.add("tool_choice")
    return Translated(
        messages=conversation.messages(),
        tools=() if choice == "none" else _tools(body, refusals),
        max_output_tokens=count(body.get("max_tokens")),
        json_schema=_schema(body, refusals),
    )


def _message(message: dict[str, object], path: str, conversation: Conversation, refusals: Refusals) -> None:
    role = message.get("role")
    if role not in ("user", "assistant", "system"):
        refusals.add(f"{path} of role {role}")
        return
    speaker = Speaker(role)
    content = message.get("content")
    if isinstance(content, str):
        conversation.say(speaker, text(content))
        return
    said: list[str] = []
    calls: list[ToolCall] = []
    for index, block in enumerate(map(obj, items(content))):
        where = f"{path}.content[{index}]"
        match block.get("type"):
            case "text":
                said.append(text(block.get("text")))
            case "thinking" | "redacted_thinking":
                pass  # of another model: it says nothing to this one
            case "tool_use" if speaker is Speaker.ASSISTANT:
                arguments = json.dumps(block.get("input") or {}, default=str, ensure_ascii=False)
                calls.append(ToolCall(id=text(block.get("id")), name=text(block.get("name")), arguments=arguments))
            case "tool_result" if speaker is Speaker.USER:
                conversation.result(
                    text(block.get("tool_use_id")),
                    _text(block.get("content"), f"{where}.content", refusals),
                    is_error=block.get("is_error") is True,
                )
            case other:
                refusals.add(f"{where} of type {other}")
    if said or speaker is Speaker.ASSISTANT:
        conversation.say(speaker, "\n".join(said))
    for call in calls:
        conversation.call(call)


def _text(content: object, path: str, refusals: Refusals) -> str:
    if isinstance(content, str) or content is None:
        return text(content)
    found: list[str] = []
    for index, block in enumerate(map(obj, items(content))):
        if block.get("type") == "text":
            found.append(text(block.get("text")))
        else:
            refusals.add(f"{path}[{index}] of type {block.get('type')}")
    return "\n".join(found)


def _tools(body: dict[str, object], refusals: Refusals) -> tuple[ToolSpec, ...]:
    found: list[ToolSpec] = []
    for index, tool in enumerate(map(obj, items(body.get("tools")))):
        if tool.get("type") not in (None, "custom"):
            refusals.add(f"tools[{index}] of type {tool.get('type')}")
            continue
        refusals.rest(tool, f"tools[{index}]", known="name description input_schema", tuning=_TOOL_TUNING)
        found.append(
            ToolSpec(
                name=text(tool.get("name")),
                description=text(tool.get("description")),
                parameters=obj(tool.get("input_schema")) or {"type": "object", "properties": {}},
            )
        )
    return tuple(found)


def _schema(body: dict[str, object], refusals: Refusals) -> dict[str, object] | None:
    config = obj(body.get("output_config"))
    refusals.rest(config, "output_config", known="format", tuning="effort task_budget")
    wanted = obj(config.get("format")) or obj(body.get("output_format"))
    if not wanted:
        return None
    if wanted.get("type") != "json_schema":
        refusals.add(f"output format of type {wanted.get('type')}")
    return obj(wanted.get("schema"))
