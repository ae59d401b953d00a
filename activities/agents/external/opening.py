"""How an external agent begins: a new conversation with the phase's prompt, or the earlier one with what is new."""

import structlog

from activities.runs.context import PhaseContext
from activities.runs.prompting import Prompting
from domain.agents.external import AgentFolder, AgentFolders, EarlierSession, EarlierSessions
from domain.base import Frozen
from domain.errors import PhaseFailure
from domain.pipelines.ports import PromptRenderer, PromptVariables
from domain.pipelines.spec import AgentPhase
from domain.runs.words import PhaseStatus
from domain.workspaces.ports import Workspaces

NOT_DONE = "Your work was looked at and is not done yet.\n"
KEPT = "The working tree is as you left it, with what later steps may have changed.\n"
NOT_KEPT = "Your last changes were not kept: the working tree is as it was before them.\n"
WHAT_FAILED = """\
{% for done in earlier if done.status != "passed" and done.iteration >= iteration - 1 %}

## {{ done.phase }}: {{ done.status }}
{% if done.error %}
{{ done.error.message | fenced("error of " ~ done.phase) }}
{% endif %}
{% if done.summary %}
{{ done.summary | fenced("output of " ~ done.phase) }}
{% endif %}
{% endfor %}
{% for said in feedback %}

## What a person says
{{ said | fenced("feedback") }}
{% endfor %}

Find out why, mend it in this repository, and finish. The task is the same as before.
"""

INTERRUPTED = """\
You were interrupted by a restart, not by a person. The working tree is as it was after your tool call that is named
below; what you did after it is lost. Look at the files before you go on, then finish the task.

Last tool call that counts: {tool}
"""
STARTED_OVER = "(none: the working tree is as it was when you began)"

log = structlog.get_logger(__name__)


class Opening(Frozen):
    prompt: str
    session_id: str | None = None
    """Of the conversation that goes on; None: a new one."""
    tree: str
    """What the worktree holds now."""
    told: str
    """For people: how it began."""


class Openings:
    def __init__(
        self,
        *,
        sessions: EarlierSessions,
        folders: AgentFolders,
        workspaces: Workspaces,
        prompting: Prompting,
        prompts: PromptRenderer,
    ) -> None:
        self._sessions = sessions
        self._folders = folders
        self._workspaces = workspaces
        self._prompting = prompting
        self._prompts = prompts

    async def of(self, context: PhaseContext, spec: AgentPhase, folder: AgentFolder) -> Opening:
        found = await self._sessions.newest(context.key, context.lease)
        if found is None or found.session.executor != spec.executor:
            return await self.new(context, spec, "a new session")
        if not await self._folders.knows_agent(folder):
            return await self.new(context, spec, "a new session: the earlier one lies on another worker")
        if found.same_attempt:
            return await self._interrupted(context, found)
        return await self._followed_up(context, spec, found)

    async def new(self, context: PhaseContext, spec: AgentPhase, told: str) -> Opening:
        """With the whole prompt, in the tree that the phase began with."""
        messages = await self._prompting.messages(context, spec)
        prompt = "\n\n".join(message.text for message in messages)
        return Opening(prompt=prompt, tree=context.tree.tree, told=told)

    async def _interrupted(self, context: PhaseContext, found: EarlierSession) -> Opening:
        """An execution was lost: its newest checkpoint is put back, so that files and memory fit again."""
        tree, tool = found.session.data.get("tree"), found.session.data.get("tool")
        restored = isinstance(tree, str) and await self._restored(context, tree)
        return Opening(
            prompt=INTERRUPTED.format(tool=tool if restored and isinstance(tool, str) else STARTED_OVER),
            session_id=found.session.session_id,
            tree=tree if restored and isinstance(tree, str) else context.tree.tree,
            told=f"goes on with session {found.session.session_id} after an execution was lost",
        )

    async def _restored(self, context: PhaseContext, tree: str) -> bool:
        try:
            await self._workspaces.restore(context.tree.facts.workspace_id, context.run.run_id, tree)
        except PhaseFailure as failure:
            log.warning("agent.checkpoint_is_gone", tree=tree, problem=failure.message)
            await self._workspaces.restore(context.tree.facts.workspace_id, context.run.run_id, context.tree.tree)
            return False
        return True

    async def _followed_up(self, context: PhaseContext, spec: AgentPhase, found: EarlierSession) -> Opening:
        template = NOT_DONE + (KEPT if found.status is PhaseStatus.PASSED else NOT_KEPT) + WHAT_FAILED
        variables = PromptVariables(
            task=context.run.task,
            iteration=context.key.iteration,
            earlier=context.began.earlier,
            feedback=context.began.feedback,
        )
        return Opening(
            prompt=self._prompts.render(template, variables),
            session_id=found.session.session_id,
            tree=context.tree.tree,
            told=f"goes on with session {found.session.session_id}",
        )
