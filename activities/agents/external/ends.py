"""How the work of an external agent ended, as one error or none. What decides is what we saw, then what it says."""

from activities.agents.external.telling import Telling
from domain.agents.caps import Cap
from domain.agents.external import ExternalAgent
from domain.gateway.ports import GatewayUse
from domain.pipelines.spec import AgentPhase
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, FailureClass, PhaseError
from domain.sandbox.ports import CommandEnd, CommandResult

NOT_FOUND_EXIT = 127
NOT_FOUND = "millwright: not found: "
"""Begins what the launching shell writes to standard error when the agent's program is missing."""

_CAP_FIELDS = {Cap.TURNS: "max_turns", Cap.TOKENS: "max_tokens", Cap.COST: "max_cost_usd"}


def error_of(
    spec: AgentPhase,
    agent: ExternalAgent,
    result: CommandResult,
    told: Telling,
    use: GatewayUse,
    problems: str,
    *,
    limit_seconds: float,
) -> PhaseError | None:
    """None: the agent says that its turn is over, and nothing that we saw speaks against it. `problems`: redacted
    standard error."""
    excerpt = _excerpt(told, problems, result)
    if cap := exhausted(use):
        return over_cap(spec, cap, excerpt)
    if result.end is CommandEnd.TIME_LIMIT:
        return PhaseError(
            kind=ErrorKind.TIME_LIMIT,
            message=f"{spec.executor} did not end within {limit_seconds:g} s and was killed.",
            excerpt=excerpt,
            hint="Split the task, or raise time_limit_seconds of the phase.",
        )
    if result.end is CommandEnd.STALLED:
        return PhaseError(
            kind=ErrorKind.STALLED,
            message=f"{spec.executor} said nothing, used no CPU and had no call in flight for {spec.stall_seconds:g} s "
            "and was killed.",
            excerpt=excerpt,
            hint="It may wait for input or a lock; raise stall_seconds of the phase if it is really that quiet.",
        )
    if result.exit_code == NOT_FOUND_EXIT and problems.startswith(NOT_FOUND):
        return not_installed(spec, agent, problems)
    if told.ended_well(result):
        return None
    return _of_call(spec, use, excerpt) or _of_end(spec, result, told, excerpt)


def exhausted(use: GatewayUse) -> Cap | None:
    match use.exhausted:
        case "calls":
            return Cap.TURNS
        case "tokens":
            return Cap.TOKENS
        case "cost":
            return Cap.COST
    return None


def over_cap(spec: AgentPhase, cap: Cap, excerpt: str) -> PhaseError:
    """As the built-in agent's: out of turns is stuck, out of tokens or money is the budget."""
    limits = {Cap.TURNS: spec.max_turns, Cap.TOKENS: spec.max_tokens, Cap.COST: spec.max_cost_usd}
    shown = {
        Cap.TURNS: f"all of its {limits[cap]} calls",
        Cap.TOKENS: f"its {limits[cap]} tokens",
        Cap.COST: f"its {limits[cap]} USD",
    }.get(cap, "its time")
    return PhaseError(
        kind=ErrorKind.INVALID_OUTPUT if cap is Cap.TURNS else ErrorKind.QUOTA_EXHAUSTED,
        message=f"{spec.executor} used {shown} and did not finish.",
        excerpt=excerpt,
        hint=f"Read its last steps on the run page; then split the task, or raise {_CAP_FIELDS[cap]} of the phase.",
        stuck=cap is Cap.TURNS,
        budget="tokens" if cap is Cap.TOKENS else "cost" if cap is Cap.COST else None,
    )


def not_installed(spec: AgentPhase, agent: ExternalAgent, problems: str) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.PLUGIN,
        message=f"Phase `{spec.name}` works with {spec.executor}, but there is no program `{agent.executable}`.",
        excerpt=problems.strip()[:EXCERPT_LIMIT],
        hint=f"Install it where the worker runs (`{agent.install_hint}`) and put its folder on the worker's PATH, or "
        "set `executor: builtin` for the phase.",
    )


def _of_call(spec: AgentPhase, use: GatewayUse, excerpt: str) -> PhaseError | None:
    """A model call that was refused or failed is the cause of what the agent says about it; but one whose class is
    the loop's business is told as the agent's failure, with that in its words."""
    trouble = use.trouble
    if trouble is None or trouble.failure_class is FailureClass.SEMANTIC or trouble.kind is ErrorKind.CANCELLED:
        return None
    return trouble.model_copy(
        update={
            "message": f"{spec.executor} could not go on: {trouble.message}",
            "excerpt": trouble.excerpt or excerpt,
        }
    )


def _of_end(spec: AgentPhase, result: CommandResult, told: Telling, excerpt: str) -> PhaseError:
    if told.result is not None and not told.result.ok:
        return PhaseError(
            kind=ErrorKind.INVALID_OUTPUT,
            message=f"{spec.executor} ended its turn without success ({told.result.reason}).",
            excerpt=told.result.text[-EXCERPT_LIMIT:] or excerpt,
            hint="Its whole output is on the run's page.",
        )
    if result.exit_code != 0:
        how = f"was ended by {result.signal}" if result.signal else f"ended with exit code {result.exit_code}"
        return PhaseError(
            kind=ErrorKind.COMMAND_FAILED,
            message=f"{spec.executor} {how}.",
            excerpt=excerpt,
            hint="Its whole output is on the run's page; its own log says more.",
        )
    return PhaseError(
        kind=ErrorKind.INVALID_OUTPUT,
        message=f"{spec.executor} ended without saying that its turn is over: its output was cut off.",
        excerpt=excerpt,
        hint="Its version may speak another format: docs/external-agents.md names the ones that were looked at.",
    )


def _excerpt(told: Telling, problems: str, result: CommandResult) -> str:
    """What it called an error, else what it wrote to standard error, else the end of what it said."""
    found = "\n".join(told.problems) or problems.strip() or told.shown.text.strip() or result.output.strip()
    return found[-EXCERPT_LIMIT:] or "(it said nothing)"
