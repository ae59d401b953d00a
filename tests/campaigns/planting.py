"""Plants faults that a project's own tests catch. Same seed, same faults; found ones are kept for the next time."""

import json
import random
import shutil
import tempfile
from itertools import chain, zip_longest
from pathlib import Path

from domain.base import Frozen
from tests.campaigns.mutation import Kind, Mutation, mutations
from tests.campaigns.projects import Project, ProjectShelf

SITES_TRIED = 80
"""Of one project; about every second mutation is caught by a good suite."""


class Fault(Frozen):
    """One file with a fault, and the same file after a mend that does not help."""

    path: str
    line: int
    kind: Kind
    told: str
    """The test that fails, in pytest's words."""
    faulty: str
    wrong: str
    right: str


def plant(shelf: ProjectShelf, project: Project, count: int, seed: int, found_before: Path) -> tuple[Fault, ...]:
    """`count` faults, each caught, of as many kinds as there are. Raises SystemExit when the project has too few."""
    kept = found_before / f"{project.label}-{project.sha256[:12]}-{count}-{seed}.json"
    if kept.exists():
        return tuple(Fault.model_validate(row) for row in json.loads(kept.read_text()))
    source = shelf.source(project)
    with tempfile.TemporaryDirectory(prefix="planting-", dir=found_before.parent) as name:
        root = Path(name) / "project"
        shutil.copytree(source, root)
        whole = shelf.test(project, root)
        if not whole.passed:
            raise SystemExit(f"{project.label}: its own tests do not pass:\n{whole.output[-2000:]}")
        faults = _caught(shelf, project, root, count, seed)
    if len(faults) < count:
        raise SystemExit(f"{project.label}: its tests caught only {len(faults)} of {SITES_TRIED} mutations")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps([fault.model_dump(mode="json") for fault in faults]))
    return faults


def _caught(shelf: ProjectShelf, project: Project, root: Path, count: int, seed: int) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    kinds: list[Kind] = []
    for path, mutation in _in_order(project, root, seed)[:SITES_TRIED]:
        if len(faults) == count:
            break
        if kinds.count(mutation.kind) > count // len(Kind):
            continue
        fault = _try(shelf, project, root, path, mutation)
        if fault is not None:
            faults.append(fault)
            kinds.append(mutation.kind)
    return tuple(faults)


def _in_order(project: Project, root: Path, seed: int) -> list[tuple[str, Mutation]]:
    """All sites, shuffled by the seed, the kinds in turn."""
    sites = [(path, one) for path in project.code_files(root) for one in mutations((root / path).read_bytes())]
    random.Random(f"{seed} {project.label}").shuffle(sites)
    by_kind = [[site for site in sites if site[1].kind is kind] for kind in Kind]
    return [site for site in chain.from_iterable(zip_longest(*by_kind)) if site is not None]


def _try(shelf: ProjectShelf, project: Project, root: Path, path: str, mutation: Mutation) -> Fault | None:
    file = root / path
    right = file.read_bytes()

    def outcome(text: bytes) -> str | None:
        """The failing test's line; None when the tests pass, break or hang."""
        file.write_bytes(text)
        done = shelf.test(project, root)
        return _first_failure(done.output) if done.failed else None

    try:
        faulty = mutation.apply(right, mutation.fault)
        told = outcome(faulty)
        if told is None:
            return None
        wrong = mutation.apply(right, mutation.other) if mutation.other else faulty
        if wrong == faulty or outcome(wrong) is None:
            wrong = faulty.rstrip(b"\n") + b"\n# looked at\n"
        return Fault(
            path=path,
            line=mutation.line,
            kind=mutation.kind,
            told=told,
            faulty=faulty.decode(),
            wrong=wrong.decode(),
            right=right.decode(),
        )
    finally:
        file.write_bytes(right)


def _first_failure(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR ", "SUBFAILED"))]
    return lines[0][:300] if lines else "a test fails"
