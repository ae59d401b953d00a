"""Whether a worktree's set-up has been done, and for what. The command itself is run by the caller, sandboxed.

The stamp lies beside the worktree, where no command of the run writes, and goes with it.
"""

import hashlib
import json
import platform
import sys

from adapters.workspace.git import Git
from adapters.workspace.globs import matching
from adapters.workspace.layout import RunPlace
from domain.runs.ports import WorkspaceFacts


def setup_key(git: Git, facts: WorkspaceFacts, tree: str) -> str:
    """SHA-256 hex of the command, its environment, the contents of `setup_inputs` in the tree, and the platform."""
    blobs: dict[str, str] = {}
    if facts.setup_inputs:
        for entry in git.run("ls-tree", "-r", "-z", "--full-tree", tree).paths:
            kind_and_hash, _, path = entry.partition("\t")
            blobs[path] = kind_and_hash
    inputs = {path: blobs[path] for path in matching(facts.setup_inputs, blobs)}
    told = [facts.setup_command, sorted(facts.env.items()), inputs, sys.platform, platform.machine()]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def is_set_up(place: RunPlace, key: str) -> bool:
    try:
        return place.setup_stamp.read_text() == key
    except FileNotFoundError:
        return False


def mark_set_up(place: RunPlace, key: str) -> None:
    temporary = place.setup_stamp.with_name(place.setup_stamp.name + ".tmp")
    temporary.write_text(key)
    temporary.replace(place.setup_stamp)
