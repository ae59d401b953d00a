"""OpenAI's chat completions -> our messages and tools."""

from adapters.gateway.parts import joined_text
from adapters.gateway.reading import count, items, obj, text
from adapters.gateway.translated import Conversation, Translated
from adapters.gateway.untranslatable import Refusals
from domain.models.messages import Speaker, ToolCall, ToolSpec

_TEXT = ("text", "refusal")
_TUNING = (
    "temperature top_p frequency_penalty presence_penalty user metadata store service_tier reasoning_effort reasoning "
    "verbosity parallel_tool_calls prompt_cache_key prompt_cache_retention safety_identifier stream_options usage"
)


def read_chat(body: dict[str, object], refusals: Refusals) -> Translated:
    refusals.rest(
        body,
        "",
        known="model messages tools tool_choice max_tokens max_completion_tokens response_format seed stream n",
        tuning=_TUNING,
    )
    if body.get("n") not in (None, 1):
        refusals.add("n")
    conversation = Conversation()
    for index, message in enumerate(map(obj, items(body.get("messages")))):
        _message(message, f"messages[{index}]", conversation, refusals)
    choice = body.get("tool_choice")
    if choice not in (None, "auto", "none"):
        refusals.add("tool_choice")
    seed = body.get("seed")
    return Translated(
        messages=conversation.messages(),
        tools=() if choice == "none" else _tools(body, refusals),
        max_output_tokens=count(body.get("max_completion_tokens")) or count(body.get("max_tokens")),
        json_schema=_schema(obj(body.get("response_format")), refusals),
        seed=seed if isinstance(seed, int) else None,
    )


def _message(message: dict[str, object], path: str, conversation: Conversation, refusals: Refusals) -> None:
    role = message.get("role")
    said = joined_text(message.get("content"), f"{path}.content", refusals, kinds=_TEXT)
    refusals.rest(
        message,
        path,
        known="role content tool_calls tool_call_id",
        tuning="name refusal annotations reasoning reasoning_content reasoning_details cache_control",
    )
    match role:
        case "system" | "developer":
            conversation.say(Speaker.SYSTEM, said)
        case "user":
            conversation.say(Speaker.USER, said)
        case "assistant":
            conversation.say(Speaker.ASSISTANT, said)
            for index, call in enumerate(map(obj, items(message.get("tool_calls")))):
                if call.get("type", "function") != "function":
                    refusals.add(f"{path}.tool_calls[{index}] of type {call.get('type')}")
                function = obj(call.get("function"))
                conversation.call(
                    ToolCall(
                        id=text(call.get("id")),
                        name=text(function.get("name")),
                        arguments=text(function.get("arguments")),
                    )
                )
        case "tool":
            conversation.result(text(message.get("tool_call_id")), said)
        case _:
            refusals.add(f"{path} of role {role}")


def _tools(body: dict[str, object], refusals: Refusals) -> tuple[ToolSpec, ...]:
    found: list[ToolSpec] = []
    for index, tool in enumerate(map(obj, items(body.get("tools")))):
        function = obj(tool.get("function"))
        if tool.get("type") != "function":
            refusals.add(f"tools[{index}] of type {tool.get('type')}")
            continue
        found.append(
            ToolSpec(
                name=text(function.get("name")),
                description=text(function.get("description")),
                parameters=obj(function.get("parameters")) or {"type": "object", "properties": {}},
            )
        )
    return tuple(found)


def _schema(wanted: dict[str, object], refusals: Refusals) -> dict[str, object] | None:
    match wanted.get("type"):
        case None | "text":
            return None
        case "json_schema":
            return obj(obj(wanted.get("json_schema")).get("schema"))
        case other:
            refusals.add(f"response_format of type {other}")
            return None
