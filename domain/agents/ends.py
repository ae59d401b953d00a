"""How an agent phase ends when the agent does not finish it: the error of each case, with its evidence."""

from domain.agents.caps import Cap, Hit
from domain.agents.conversation import Conversation
from domain.agents.stuck import Evidence
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError
from domain.runs.words import StepStatus

_LOOK = "Read its last steps on the run page"


def stuck(evidence: Evidence) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.INVALID_OUTPUT,
        message=evidence.message,
        excerpt=evidence.excerpt[-EXCERPT_LIMIT:],
        hint=f"Going on would repeat it. {_LOOK}; then make the task clearer or choose another model.",
        stuck=True,
    )


def over_cap(hit: Hit, conversation: Conversation) -> PhaseError:
    """Turns: stuck. Tokens and money: budget. Time: a failure like that of a command that takes too long."""
    field = {Cap.TURNS: "max_turns", Cap.TOKENS: "max_tokens", Cap.COST: "max_cost_usd", Cap.TIME: "time_limit_seconds"}
    hint = f"{_LOOK}; then split the task, or raise {field[hit.cap]} of the phase."
    excerpt = last_turns(conversation)
    match hit.cap:
        case Cap.TURNS:
            return PhaseError(
                kind=ErrorKind.INVALID_OUTPUT, message=hit.message, excerpt=excerpt, hint=hint, stuck=True
            )
        case Cap.TOKENS:
            return PhaseError(
                kind=ErrorKind.QUOTA_EXHAUSTED, message=hit.message, excerpt=excerpt, hint=hint, budget="tokens"
            )
        case Cap.COST:
            return PhaseError(
                kind=ErrorKind.QUOTA_EXHAUSTED, message=hit.message, excerpt=excerpt, hint=hint, budget="cost"
            )
        case Cap.TIME:
            return PhaseError(kind=ErrorKind.TIME_LIMIT, message=hit.message, excerpt=excerpt, hint=hint)


def may_have_happened(title: str, earlier: StepStatus, turn: int) -> PhaseError:
    """A tool that reaches outside was begun by an execution that did not live to tell how it ended."""
    return PhaseError(
        kind=ErrorKind.PLUGIN,
        message=f"`{title}` in turn {turn} reaches outside (unsafe) and was begun by an execution that was lost; its "
        f"step says `{earlier}`, so it may have happened.",
        excerpt=f"{title}\nstep turn#{turn}: {earlier}",
        hint="It is not repeated by itself: look outside whether it happened, then start or retry the run by hand.",
    )


def last_turns(conversation: Conversation, count: int = 5) -> str:
    """What the agent did last, one line each."""
    lines = []
    for turn in conversation.turns[-count:]:
        calls = "; ".join(f"{call.name} {call.arguments[:160]}" for call in turn.reply.tool_calls[:4])
        lines.append(f"turn {turn.number}: {calls or turn.reply.text[:200] or '(an empty reply)'}")
        lines += [f"  -> {result.text[:160]}" for result in turn.results[:2]]
    return "\n".join(lines)[-EXCERPT_LIMIT:] or "(the agent had not begun)"
