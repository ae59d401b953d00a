"""OpenAI's responses -> our messages and tools. Only whole conversations: nothing is stored for a client."""

from adapters.gateway.parts import joined_text
from adapters.gateway.reading import count, items, obj, text
from adapters.gateway.translated import Conversation, Translated
from adapters.gateway.untranslatable import Refusals
from domain.models.messages import Speaker, ToolCall, ToolSpec

_TEXT = ("input_text", "output_text", "text", "refusal")
_TUNING = (
    "temperature top_p user metadata store service_tier reasoning parallel_tool_calls prompt_cache_key "
    "prompt_cache_retention safety_identifier stream_options include truncation client_metadata top_logprobs"
)

_SPEAKERS = {
    "system": Speaker.SYSTEM,
    "developer": Speaker.SYSTEM,
    "user": Speaker.USER,
    "assistant": Speaker.ASSISTANT,
}


def read_responses(body: dict[str, object], refusals: Refusals) -> Translated:
    refusals.rest(
        body,
        "",
        known="model input instructions tools tool_choice max_output_tokens text stream",
        tuning=_TUNING,
    )
    conversation = Conversation()
    if body.get("instructions"):
        conversation.say(Speaker.SYSTEM, text(body["instructions"]))
    if isinstance(body.get("input"), str):
        conversation.say(Speaker.USER, text(body["input"]))
    for index, item in enumerate(map(obj, items(body.get("input")))):
        _item(item, f"input[{index}]", conversation, refusals)
    choice = body.get("tool_choice")
    if choice not in (None, "auto", "none"):
        refusals.add("tool_choice")
    return Translated(
        messages=conversation.messages(),
        tools=() if choice == "none" else _tools(body, refusals),
        max_output_tokens=count(body.get("max_output_tokens")),
        json_schema=_schema(obj(body.get("text")), refusals),
    )


def _item(item: dict[str, object], path: str, conversation: Conversation, refusals: Refusals) -> None:
    match item.get("type", "message"):
        case "message":
            speaker = _SPEAKERS.get(text(item.get("role")))
            if speaker is None:
                refusals.add(f"{path} of role {item.get('role')}")
            else:
                conversation.say(speaker, joined_text(item.get("content"), f"{path}.content", refusals, kinds=_TEXT))
        case "function_call":
            conversation.call(
                ToolCall(
                    id=text(item.get("call_id")), name=text(item.get("name")), arguments=text(item.get("arguments"))
                )
            )
        case "function_call_output":
            conversation.result(
                text(item.get("call_id")), joined_text(item.get("output"), f"{path}.output", refusals, kinds=_TEXT)
            )
        case "reasoning":
            pass  # of another model: it says nothing to this one
        case other:
            refusals.add(f"{path} of type {other}")


def _tools(body: dict[str, object], refusals: Refusals) -> tuple[ToolSpec, ...]:
    found: list[ToolSpec] = []
    for index, tool in enumerate(map(obj, items(body.get("tools")))):
        if tool.get("type") != "function":
            refusals.add(f"tools[{index}] of type {tool.get('type')}")
            continue
        found.append(
            ToolSpec(
                name=text(tool.get("name")),
                description=text(tool.get("description")),
                parameters=obj(tool.get("parameters")) or {"type": "object", "properties": {}},
            )
        )
    return tuple(found)


def _schema(wanted: dict[str, object], refusals: Refusals) -> dict[str, object] | None:
    refusals.rest(wanted, "text", known="format", tuning="verbosity")
    format = obj(wanted.get("format"))
    match format.get("type"):
        case None | "text":
            return None
        case "json_schema":
            return obj(format.get("schema"))
        case other:
            refusals.add(f"text.format of type {other}")
            return None
