"""An old history still replays (invariant 11), and a workflow that does something else is caught."""

from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from domain.runs.ids import RUN_WORKFLOW
from tests.replay.record import HISTORIES, SCENES
from workflows.run import RunWorkflow

RECORDED = sorted(HISTORIES.glob("*.json"))

WHAT_TO_DO = (
    "Histories of released versions must replay. Put the change behind workflow.patched('<what>-<date>') and record a "
    "new history beside the old ones (uv run python -m tests.replay.record)."
)


def history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json("replayed", path.read_text())


def test_every_scene_has_its_history() -> None:
    assert {path.stem for path in RECORDED} >= set(SCENES)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    replayer = Replayer(workflows=[RunWorkflow], data_converter=pydantic_data_converter)
    result = await replayer.replay_workflow(history(path), raise_on_replay_failure=False)
    assert result.replay_failure is None, f"{WHAT_TO_DO}\n{result.replay_failure}"


@workflow.defn(name=RUN_WORKFLOW, sandboxed=False)
class SleepsFirst(RunWorkflow):
    """The mutation: a timer before everything else."""

    @workflow.run
    async def run(self, raw):  # type: ignore[no-untyped-def]
        await workflow.sleep(1)
        return await super().run(raw)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_changed_workflow_is_caught(path: Path) -> None:
    replayer = Replayer(workflows=[SleepsFirst], data_converter=pydantic_data_converter)
    result = await replayer.replay_workflow(history(path), raise_on_replay_failure=False)
    assert isinstance(result.replay_failure, workflow.NondeterminismError)
