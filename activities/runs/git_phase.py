"""`git` phases: the tree as one commit on the run's branch, and the branch to a remote. Both look before they act."""

from datetime import UTC, datetime
from uuid import UUID

from activities.runs.context import PhaseContext, Work
from activities.runs.packs import TreeKeeper
from domain.errors import PhaseFailure
from domain.failpoints import Failpoints, Point
from domain.pipelines.ports import PromptRenderer, PromptVariables
from domain.pipelines.spec import GitPhase
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.ports import ArtifactRef, CommitFacts, PhaseLedger, RunWarnings, StepEnd, StepStart
from domain.runs.words import Effect, PhaseStatus, StepKind, StepStatus
from domain.workspaces.packs import BRANCH_BUNDLE
from domain.workspaces.ports import DeliverResult, Workspaces

BUNDLE = "bundle"
"""The `remote` of a delivery that goes nowhere: the commits stay with the run, as a bundle to be fetched from."""


class GitExecutor:
    def __init__(
        self,
        *,
        workspaces: Workspaces,
        trees: TreeKeeper,
        ledger: PhaseLedger,
        prompts: PromptRenderer,
        failpoints: Failpoints,
        warnings: RunWarnings,
    ) -> None:
        self._workspaces = workspaces
        self._trees = trees
        self._ledger = ledger
        self._prompts = prompts
        self._failpoints = failpoints
        self._warnings = warnings

    async def execute(self, context: PhaseContext) -> Work:
        spec = context.spec
        assert isinstance(spec, GitPhase)
        if context.tree.tree == context.tree.base_tree:
            return Work(summary="Nothing changed: there is nothing to commit.")
        await self._trees.branch_recovered(context.run)
        commit = await self._commit(context, spec)
        self._failpoints.hit(Point.GIT_AFTER_COMMIT)
        if spec.action == "commit":
            kept = (await self._trees.branch_kept(context.run),) if commit else ()
            return Work(commit=commit, summary=_commit_line(commit), artifacts=kept)
        bundle = await self._trees.branch_kept(context.run)
        work = Work(commit=commit, branch=_branch(context), artifacts=(bundle,))
        if spec.remote == BUNDLE:
            return work.model_copy(update={"summary": _bundle_line(_branch(context), bundle)})
        try:
            delivered = await self._deliver(context, spec)
        except PhaseFailure as failure:
            return work.model_copy(update={"status": PhaseStatus.FAILED, "error": failure.error, "branch": None})
        self._failpoints.hit(Point.GIT_AFTER_PUSH)
        if delivered.moved is not None:
            await self._warnings.warn(context.key.org_id, context.key.run_id, delivered.moved.line)
        return work.model_copy(update={"summary": _delivery_line(delivered, spec.remote)})

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
            made_at=_made_at(context.lease.attempt_id),
        )

    async def _deliver(self, context: PhaseContext, spec: GitPhase) -> DeliverResult:
        facts = context.tree.facts
        if spec.remote != "origin" and spec.remote not in facts.allowed_remotes:
            raise PhaseFailure(
                PhaseError(
                    kind=ErrorKind.WORKSPACE,
                    message=f"Workspace {facts.name} does not allow delivery to `{spec.remote}`.",
                    hint="Add it to the workspace's allowed_remotes, or deliver to `origin` or as a `bundle`.",
                )
            )
        step = StepStart(
            key=f"push#{context.lease.number}",
            kind=StepKind.EFFECT,
            title=f"push {_branch(context)} to {spec.remote}",
            effect=Effect.IDEMPOTENT,
        )
        await self._ledger.start_step(context.key, context.lease, step)
        try:
            delivered = await self._workspaces.deliver(
                facts.workspace_id,
                context.run.run_id,
                branch=_branch(context),
                remote=spec.remote,
                repo_path=facts.repo_path,
            )
        except PhaseFailure as failure:
            end = StepEnd(status=StepStatus.FAILED, error=failure.error)
            await self._ledger.end_step(context.key, context.lease, step.key, end)
            raise
        await self._ledger.end_step(context.key, context.lease, step.key, StepEnd(status=StepStatus.DONE))
        return delivered


def _branch(context: PhaseContext) -> str:
    branch = context.run.branch
    assert branch is not None, "a run with a workspace has a branch"
    return branch


def _made_at(attempt_id: UUID) -> datetime:
    """When the attempt was made, which its id (UUIDv7) tells to every execution of it alike."""
    return datetime.fromtimestamp((attempt_id.int >> 80) / 1000, UTC)


def _commit_line(commit: CommitFacts | None) -> str:
    return "Nothing changed since the last commit." if commit is None else commit.line


def _delivery_line(delivered: DeliverResult, remote: str) -> str:
    where = "was already there" if delivered.already_there else "delivered"
    line = f"Branch {delivered.branch} {where} at {delivered.commit[:12]} ({remote})."
    return f"{line}\n{delivered.moved.line}" if delivered.moved else line


def _bundle_line(branch: str, bundle: ArtifactRef) -> str:
    return (
        f"Branch {branch} is kept as the artifact {BRANCH_BUNDLE} ({bundle.size_bytes:,} bytes, {bundle.sha256[:12]}): "
        f"download it, then `git fetch {BRANCH_BUNDLE} {branch}:{branch}` in a repository that has the run's base."
    )
