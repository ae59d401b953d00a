"""`git` phases: the tree as one commit on the run's branch, and the branch to a remote. Both look before they act."""

from activities.runs.context import PhaseContext, Work
from domain.errors import PhaseFailure
from domain.failpoints import Failpoints, Point
from domain.pipelines.ports import PromptRenderer, PromptVariables
from domain.pipelines.spec import GitPhase
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.ports import CommitFacts, PhaseLedger, StepEnd, StepStart
from domain.runs.words import Effect, StepKind, StepStatus
from domain.workspaces.ports import DeliverResult, Workspaces


class GitExecutor:
    def __init__(
        self, *, workspaces: Workspaces, ledger: PhaseLedger, prompts: PromptRenderer, failpoints: Failpoints
    ) -> None:
        self._workspaces = workspaces
        self._ledger = ledger
        self._prompts = prompts
        self._failpoints = failpoints

    async def execute(self, context: PhaseContext) -> Work:
        spec = context.spec
        assert isinstance(spec, GitPhase)
        if context.tree.tree == context.tree.base_tree:
            return Work(summary="Nothing changed: there is nothing to commit.")
        commit = await self._commit(context, spec)
        self._failpoints.hit(Point.GIT_AFTER_COMMIT)
        if spec.action == "commit":
            return Work(commit=commit, summary=_commit_line(commit))
        delivered = await self._deliver(context, spec)
        self._failpoints.hit(Point.GIT_AFTER_PUSH)
        where = "was already there" if delivered.already_there else "delivered"
        return Work(
            commit=commit,
            branch=delivered.branch,
            summary=f"Branch {delivered.branch} {where} at {delivered.commit[:12]} ({spec.remote}).",
        )

    async def _commit(self, context: PhaseContext, spec: GitPhase) -> CommitFacts | None:
        tree = context.tree
        variables = PromptVariables(task=context.run.task, iteration=context.key.iteration)
        return await self._workspaces.commit(
            tree.facts.workspace_id,
            context.run.run_id,
            tree=tree.tree,
            message=self._prompts.render(spec.message, variables),
            trailers={
                "Millwright-Run": str(context.run.run_id),
                "Millwright-Phase": context.key.phase,
                "Millwright-Iteration": str(context.key.iteration),
                "Millwright-Attempt": str(context.key.attempt),
            },
            branch=_branch(context),
            base_commit=tree.base_commit,
        )

    async def _deliver(self, context: PhaseContext, spec: GitPhase) -> DeliverResult:
        facts = context.tree.facts
        if spec.remote != "origin" and spec.remote not in facts.allowed_remotes:
            raise PhaseFailure(
                PhaseError(
                    kind=ErrorKind.WORKSPACE,
                    message=f"Workspace {facts.name} does not allow delivery to `{spec.remote}`.",
                    hint="Add it to the workspace's allowed_remotes, or deliver to `origin`.",
                )
            )
        step = StepStart(
            key=f"push#{context.lease.number}",
            kind=StepKind.EFFECT,
            title=f"push {_branch(context)} to {spec.remote}",
            effect=Effect.IDEMPOTENT,
        )
        await self._ledger.start_step(context.key, context.lease, step)
        delivered = await self._workspaces.deliver(
            facts.workspace_id,
            context.run.run_id,
            branch=_branch(context),
            remote=spec.remote,
            repo_path=facts.repo_path,
        )
        await self._ledger.end_step(context.key, context.lease, step.key, StepEnd(status=StepStatus.DONE))
        return delivered


def _branch(context: PhaseContext) -> str:
    branch = context.run.branch
    assert branch is not None, "a run with a workspace has a branch"
    return branch


def _commit_line(commit: CommitFacts | None) -> str:
    if commit is None:
        return "Nothing changed since the last commit."
    return commit.line
