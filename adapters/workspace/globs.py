"""One meaning of a glob everywhere in a workspace: that of a .gitignore line (`*.py` at any depth, `/tests/**`)."""

from collections.abc import Iterable, Sequence

from pathspec import GitIgnoreSpec


def matching(globs: Sequence[str], paths: Iterable[str]) -> list[str]:
    """The paths that the globs choose, sorted. A later `!glob` takes out again."""
    spec = GitIgnoreSpec.from_lines(globs)
    return sorted(path for path in paths if spec.match_file(path))
