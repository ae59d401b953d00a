"""Where the trees of a run are stored, as the record knows it."""

from uuid import UUID

from adapters.store.packs import PostgresPackRecord
from adapters.store.views import PostgresViews
from domain.runs.ports import ArtifactRef, CommitFacts
from domain.workspaces.packs import (
    BRANCH_BUNDLE,
    BUNDLE_MEDIA_TYPE,
    PACK_MEDIA_TYPE,
    PackEdge,
    StoredRun,
    pack_name,
)
from tests.adapters.store.record import BASE, Record, passed

ONE, TWO = "1" * 40, "2" * 40


def _artifact(name: str, digit: str, media_type: str) -> ArtifactRef:
    return ArtifactRef(sha256=digit * 64, size_bytes=1, name=name, media_type=media_type)


async def test_packs_are_found_by_the_artifacts_of_the_run(record: Record) -> None:
    state = await record.opened()
    packs = PostgresPackRecord(record.database)
    assert await packs.stored(record.org_id, state.run_id) == StoredRun()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    artifacts = (
        _artifact("output", "a", "text/plain"),
        _artifact(pack_name(ONE, TWO), "b", PACK_MEDIA_TYPE),
        _artifact(BRANCH_BUNDLE, "c", BUNDLE_MEDIA_TYPE),
    )
    commit = CommitFacts(sha="e" * 40, subject="s", files_changed=1, insertions=1, deletions=1)
    await record.phases.finish(phase.key, began.lease, passed(artifacts=artifacts, commit=commit))
    stored = await packs.stored(record.org_id, state.run_id)
    assert stored.packs == (PackEdge(known_tree=ONE, tree=TWO, sha256="b" * 64),)
    assert stored.tip is not None and (stored.tip.commit, stored.tip.sha256) == ("e" * 40, "c" * 64)
    shown = (await PostgresViews(record.database).run(record.org_id, state.run_id)).phases[0].attempts[0].artifacts
    assert [each.name for each in shown] == ["output", BRANCH_BUNDLE], "packs are no artifacts for people"
    assert await packs.stored(UUID(int=0), state.run_id) == StoredRun(), "another organization sees none of it"


async def test_a_base_is_kept_once_for_all_runs_of_its_workspace(record: Record) -> None:
    state = await record.opened()
    workspace_id = record.run_row(state.run_id)["workspace_id"]
    packs = PostgresPackRecord(record.database)
    where = (record.org_id, workspace_id, BASE.commit)
    assert not await packs.has_base(*where)
    await packs.keep_base(*where, "d" * 64, 7)
    await packs.keep_base(*where, "f" * 64, 7)
    assert await packs.has_base(*where)
    assert (await packs.stored(record.org_id, state.run_id)).base_sha256 == "d" * 64
    assert not await packs.has_base(record.org_id, workspace_id, "0" * 40)
