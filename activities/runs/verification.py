"""A failed verification is compared with the base: what was red before is named, not counted as caused (DESIGN 5.1).

The base is run lazily, at the first failed verification of its kind, so a green repository pays nothing; its result is
kept for every later run. It is run in the run's own worktree, by the same executor and so under the same rules.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace

from activities.runs.command_phase import command_text, head_and_tail
from activities.runs.context import SUMMARY_LIMIT, PhaseContext, PhaseExecutor, Work
from activities.runs.results import failed
from domain.artifacts.ports import ArtifactStore
from domain.errors import PhaseFailure
from domain.pipelines.spec import CommandPhase
from domain.redaction import Redactor
from domain.runs.baseline import Baseline, BaselineRun, Judged, failing, judge
from domain.runs.failure import ErrorKind, FailureClass
from domain.runs.ports import ArtifactRef, PhaseLedger, RunWarnings, StepEnd, StepStart
from domain.runs.words import Effect, PhaseStatus, StepKind, StepStatus
from domain.workspaces.baselines import BaselineRecord
from domain.workspaces.ports import Workspaces

OUTPUT = "output"


class VerifyingExecutor:
    """For `command` phases: runs them by `commands`, and judges what fails."""

    def __init__(
        self,
        *,
        commands: PhaseExecutor,
        workspaces: Workspaces,
        ledger: PhaseLedger,
        artifacts: ArtifactStore,
        baselines: BaselineRecord,
        warnings: RunWarnings,
        redactor: Redactor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._commands = commands
        self._workspaces = workspaces
        self._ledger = ledger
        self._artifacts = artifacts
        self._baselines = baselines
        self._warnings = warnings
        self._redactor = redactor
        self._clock = clock

    async def execute(self, context: PhaseContext) -> Work:
        began = self._clock()
        work = await self._commands.execute(context)
        if not _is_to_be_judged(context, work):
            return work
        taken = self._clock() - began
        left = context.phase.time_limit_seconds - taken
        baseline = await self._baseline(context, taken, left)
        if baseline is None:
            return work
        spec = context.spec
        assert isinstance(spec, CommandPhase)
        output = await self._output(context, work)
        now = failing(output, command_text(spec, context.run))
        return await self._told(context, work, output, judge(baseline, now, work.exit_code))

    async def _baseline(self, context: PhaseContext, taken: float, left: float) -> Baseline | None:
        """None: not known, and no time to find out."""
        tree, org_id = context.tree, context.key.org_id
        where = (tree.facts.workspace_id, tree.base_tree, await self._key(context))
        known = await self._baselines.find(org_id, *where)
        if known is not None:
            return known
        if left < taken:
            await context.output.say(f"\n[the base was not run: only {left:.0f} s of the phase's time are left]\n")
            return None
        runs: list[BaselineRun] = []
        while not runs or (len(runs) < _wanted_runs(context) and not runs[0].passed):
            began = self._clock()
            run = await self._run_base(context, len(runs) + 1, left)
            left -= self._clock() - began
            if run is None:
                break
            runs.append(run)
        if not runs:
            return None
        baseline = Baseline(runs=tuple(runs))
        await self._baselines.keep(org_id, *where, baseline)
        return baseline

    async def _run_base(self, context: PhaseContext, number: int, limit_seconds: float) -> BaselineRun | None:
        """None: it did not end by itself in the time that was left. Raises Stopped, PhaseFailure."""
        spec, tree = context.spec, context.tree
        assert isinstance(spec, CommandPhase)
        if limit_seconds <= 0:
            return None
        text = command_text(spec, context.run)
        key = f"baseline#{context.lease.number}.{number}"
        title = f"baseline: {self._redactor.redact(text)}"[:200]
        step = StepStart(key=key, kind=StepKind.COMMAND, title=title, effect=Effect.IDEMPOTENT)
        await self._ledger.start_step(context.key, context.lease, step)
        await context.output.say(f"\n[the same on the base {tree.base_commit[:12]}, to see what was red before]\n")
        await self._workspaces.restore(tree.facts.workspace_id, context.run.run_id, tree.base_tree)
        began = self._clock()
        on_base = replace(
            context,
            phase=context.phase.model_copy(update={"time_limit_seconds": limit_seconds}),
            worktree=replace(tree, tree=tree.base_tree, protected_changed=()),
        )
        try:
            work = await self._commands.execute(on_base)
        except PhaseFailure as failure:
            if failure.error.failure_class is not FailureClass.FINAL:
                raise
            work = failed(failure.error)  # its set-up does not even work on the base
        end = StepEnd(
            status=StepStatus.DONE if work.status is PhaseStatus.PASSED else StepStatus.FAILED,
            run_seconds=self._clock() - began,
            exit_code=work.exit_code,
            signal=work.signal,
            tail="\n".join(work.summary.splitlines()[-5:]),
        )
        await self._ledger.end_step(context.key, context.lease, key, end)
        if work.status is PhaseStatus.PASSED:
            return BaselineRun(passed=True, exit_code=work.exit_code)
        if work.error is None or work.error.kind in (ErrorKind.TIME_LIMIT, ErrorKind.STALLED):
            return None
        output = await self._output(context, work)
        return BaselineRun(
            passed=False, exit_code=work.exit_code, failing=failing(output, text), message=work.error.message
        )

    async def _key(self, context: PhaseContext) -> str:
        """Same key, same baseline: of the command, and of all that its set-up depends on in the base."""
        tree, spec = context.tree, context.spec
        assert isinstance(spec, CommandPhase)
        setup = await self._workspaces.setup_key(tree.facts, context.run.run_id, tree.base_tree)
        told = json.dumps([command_text(spec, context.run), setup])
        return hashlib.sha256(told.encode()).hexdigest()

    async def _output(self, context: PhaseContext, work: Work) -> str:
        """All of it that is kept, redacted."""
        whole = next((each for each in work.artifacts if each.name == OUTPUT), None)
        if whole is None:
            return work.summary
        return (await self._artifacts.get(context.key.org_id, whole.sha256)).decode(errors="replace")

    async def _told(self, context: PhaseContext, work: Work, output: str, judged: Judged) -> Work:
        """The note is where people look: first in the summary, last in the output, and with the error."""
        if not judged.note:
            return work
        body = f"{output}\n[{judged.note}]\n".encode()
        kept = ArtifactRef(
            sha256=await self._artifacts.put(context.key.org_id, body), size_bytes=len(body), name=OUTPUT
        )
        others = tuple(each for each in work.artifacts if each.name != OUTPUT)
        told = {
            "summary": head_and_tail(f"{judged.note}\n\n{work.summary}", SUMMARY_LIMIT),
            "artifacts": (*others, kept),
        }
        if judged.only_red_before and _may_stay_red(context):
            message = f"{context.spec.name} counts as passed, although its command failed: {judged.note}"
            await self._warnings.warn(context.key.org_id, context.key.run_id, message)
            return work.model_copy(update={**told, "status": PhaseStatus.PASSED, "error": None, "fingerprint": None})
        assert work.error is not None, "a phase that failed has an error"
        error = work.error.model_copy(update={"hint": f"{judged.note} {work.error.hint}"})
        return work.model_copy(update={**told, "error": error})


def _may_stay_red(context: PhaseContext) -> bool:
    return isinstance(context.spec, CommandPhase) and context.spec.red_before == "pass"


def _wanted_runs(context: PhaseContext) -> int:
    """A red base is run twice where flaky tests make a difference."""
    return 2 if _may_stay_red(context) else 1


def _is_to_be_judged(context: PhaseContext, work: Work) -> bool:
    """A verification of a changed tree that ended by itself, and may be run again."""
    spec = context.spec
    if not isinstance(spec, CommandPhase) or not spec.verifies or spec.effect is Effect.UNSAFE:
        return False
    failed = work.error is not None and work.error.kind is ErrorKind.COMMAND_FAILED and work.exit_code is not None
    return failed and context.tree.tree != context.tree.base_tree
