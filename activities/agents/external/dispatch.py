"""Who works on an agent phase: our own tool loop, or an external agent."""

from activities.runs.context import PhaseContext, PhaseExecutor, Work
from domain.pipelines.spec import AgentExecutor, AgentPhase


class AgentExecutors:
    """The executor of the phase kind `agent`."""

    def __init__(self, *, builtin: PhaseExecutor, external: PhaseExecutor) -> None:
        self._builtin = builtin
        self._external = external

    async def execute(self, context: PhaseContext) -> Work:
        assert isinstance(context.spec, AgentPhase)
        ours = context.spec.executor is AgentExecutor.BUILTIN
        return await (self._builtin if ours else self._external).execute(context)
