"""What a workspace chooses for roles and stages is in the record, and in the facts of each of its runs."""

from domain.runs.ports import RunFacts, WorkspaceFacts
from tests.adapters.store.record import Record


async def test_a_runs_facts_hold_everything_that_its_workspace_says(record: Record) -> None:
    made = await record.create()
    [facts] = await record.catalogue.workspaces(record.org_id)
    assert facts.models == {}
    chosen = facts.model_copy(update={"models": {"context": "m:small", "coder": "m:big"}})
    await record.catalogue.save_workspace(record.org_id, chosen)
    assert await record.catalogue.workspaces(record.org_id) == [chosen]
    [row] = record.rows("SELECT run_facts(id) AS facts FROM run WHERE id = %s", made.run_id)
    assert RunFacts.model_validate(row["facts"]).workspace == chosen
    assert set(row["facts"]["workspace"]) == set(WorkspaceFacts.model_fields), "the function forgets nothing"
