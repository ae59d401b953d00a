"""The command of one start: a small shell around the agent gives it its prompt, and keeps standard error apart."""

from pathlib import Path

from activities.agents.external.ends import NOT_FOUND, NOT_FOUND_EXIT
from activities.runs.context import PhaseContext
from domain.agents.external import AgentFolder, AgentLaunch
from domain.gateway.ports import GatewayAccess
from domain.sandbox.ports import Command, NetworkAccess

STDIN = "stdin"
TAIL_BYTES = 64 * 1024
"""Of the raw event stream, for the excerpt of an agent that said nothing that we know."""

_SCRIPT = (
    'given=$1 problems=$2; shift 2; rm -f -- "$problems"; '
    'command -v "$1" >/dev/null 2>&1 || '
    f'{{ echo "{NOT_FOUND}$1 on PATH $PATH" >"$problems"; exit {NOT_FOUND_EXIT}; }}; '
    f'"$@" <"$given/{STDIN}" 2>"$problems"; code=$?; '
)
"""An event stream must not be mixed with what goes to standard error, and a prompt may be longer than an argument."""


def command(
    context: PhaseContext, launch: AgentLaunch, folder: AgentFolder, access: GatewayAccess, network: NetworkAccess
) -> Command:
    """`litter` are globs of ours, never of a repository. Without a network of the machine the gateway's addresses lead
    through its socket."""
    clean = f"rm -rf -- {' '.join(launch.litter)}; " if launch.litter else ""
    argv = ("/bin/sh", "-c", f"{_SCRIPT}{clean}exit $code", "agent", str(folder.given), str(folder.problems))
    apart = network is NetworkAccess.NONE
    programs = tuple(Path(word) for word in access.forwarder if word.startswith("/") and word.endswith(".py"))
    return Command(
        argv=(*(access.forwarder if apart else ()), *argv, *launch.argv),
        cwd=context.tree.path,
        env={**context.tree.facts.env, **launch.env},
        time_limit_seconds=context.phase.time_limit_seconds,
        stall_seconds=context.spec.stall_seconds,
        head_bytes=0,
        tail_bytes=TAIL_BYTES,
        home=folder.home,
        lock=context.tree.guard_lock,
        network=network,
        sockets=(access.socket,) if apart and access.socket is not None else (),
        readable=(folder.given, *(programs if apart else ())),
    )
