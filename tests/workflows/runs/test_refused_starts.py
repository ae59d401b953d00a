"""A start by hand that cannot work is refused at open: nothing is recorded, and the workflow says why."""

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from domain.runs.ids import RUN_WORKFLOW, TASK_QUEUE
from tests.workflows.world import World

ASK = {"needs_workspace": False, "phases": [{"name": "ask", "kind": "model", "role": "planner", "prompt": "Say it."}]}


async def refused(engine: World, *inputs: Any) -> str:
    handle = await engine.client.start_workflow(
        RUN_WORKFLOW, args=inputs, id=f"{engine.folder.name}-refused", task_queue=TASK_QUEUE
    )
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == "invalid_input"
    assert await engine.rows("SELECT 1 FROM run") == []
    return failure.value.cause.message


async def test_without_a_model_for_a_phase(engine: World) -> None:
    told = await refused(engine, {"task": "x", "pipeline": await engine.publish(ASK)})
    assert told.startswith("settings.model: Phase `ask` needs a model for the role planner, and none is set.")
    assert "--model provider:model" in told


async def test_a_model_of_another_role_does_not_help(engine: World) -> None:
    settings = {"models": {"coder": "scripted:demo"}}
    told = await refused(engine, {"task": "x", "pipeline": await engine.publish(ASK), "settings": settings})
    assert "needs a model for the role planner" in told


async def test_an_unknown_field_is_answered_with_those_that_there_are(engine: World) -> None:
    told = await refused(engine, {"task": "x", "pipelin": "y", "settings": {"modell": "z"}})
    assert "pipelin: Extra inputs are not permitted (known: org, task, pipeline, workspace, repo, settings," in told
    assert "settings.modell: Extra inputs are not permitted (known: model, models, limits," in told
    assert "state" not in told


async def test_two_inputs(engine: World) -> None:
    told = await refused(engine, {"task": "x"}, {"repo": "/y"})
    assert told == "The start has 2 inputs; give one JSON object (one --input)."
