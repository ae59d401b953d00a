"""What a reply asks for: its tool calls read, and what is badly formed in it said in words for the model.

Badly formed are a reply without a tool call, an unknown tool, arguments that are no JSON object, and a reply that was
cut off. Nothing of them ends the phase by itself: each takes a turn, and too many in a row are `stuck`.
"""

import json
from collections.abc import Collection
from enum import StrEnum

from domain.base import Frozen
from domain.models.messages import Finish, ModelReply, ToolCall


class Fault(StrEnum):
    NO_TOOL_CALL = "no_tool_call"
    TRUNCATED = "truncated"
    UNKNOWN_TOOL = "unknown_tool"
    INVALID_ARGUMENTS = "invalid_arguments"


class Action(Frozen):
    """One tool call of a reply. Exactly one of `arguments` and `problem` is set."""

    call: ToolCall
    arguments: dict[str, object] | None = None
    problem: str | None = None
    """Why it cannot be carried out, for the model."""
    fault: Fault | None = None


class Reading(Frozen):
    actions: tuple[Action, ...] = ()
    note: str = ""
    """For the model, when the reply has no tool call at all."""
    fault: Fault | None = None
    """Set when nothing of the reply can be carried out."""


def read_reply(reply: ModelReply, tools: Collection[str]) -> Reading:
    """Never raises: whatever a model says can be answered."""
    cut = reply.finish is Finish.LENGTH
    if not reply.tool_calls:
        fault = Fault.TRUNCATED if cut else Fault.NO_TOOL_CALL
        return Reading(note=_NOTES[fault], fault=fault)
    actions = tuple(_action(call, tools, cut=cut) for call in reply.tool_calls)
    nothing_sound = all(action.fault is not None for action in actions)
    return Reading(actions=actions, fault=actions[0].fault if nothing_sound else None)


def _action(call: ToolCall, tools: Collection[str], *, cut: bool) -> Action:
    if call.name not in tools:
        known = ", ".join(sorted(tools))
        shown = call.name if len(call.name) <= 80 else call.name[:79] + "…"
        return Action(call=call, problem=f"There is no tool {shown!r}. Tools: {known}.", fault=Fault.UNKNOWN_TOOL)
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError) as error:
        if cut:
            return Action(call=call, problem=_CUT_CALL, fault=Fault.TRUNCATED)
        said = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        problem = f"The arguments of {call.name} are no valid JSON: {said}. Send the call again as one JSON object."
        return Action(call=call, problem=problem, fault=Fault.INVALID_ARGUMENTS)
    if not isinstance(arguments, dict):
        problem = f"The arguments of {call.name} must be one JSON object, not {type(arguments).__name__}."
        return Action(call=call, problem=problem, fault=Fault.INVALID_ARGUMENTS)
    return Action(call=call, arguments=arguments)


_NOTES = {
    Fault.NO_TOOL_CALL: "Your reply had no tool call, so nothing was done. Use the tools to go on; when the work is "
    "done, call `finish` with a short summary.",
    Fault.TRUNCATED: "Your reply was cut off at the limit on its length before any tool call was complete. Do less in "
    "one reply.",
}
_CUT_CALL = (
    "Your reply was cut off at the limit on its length inside this call, so it was not carried out. Send it again in "
    "smaller pieces."
)
