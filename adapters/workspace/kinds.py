"""Kinds of repositories in which a run sees less than a person may think: said as warnings, never refused for it."""

from adapters.workspace.git import Git

_LFS = b"filter=lfs"
_KEYS = r"^(core\.sparsecheckout|extensions\.partialclone|remote\..*\.promisor)$"


def is_partial(git: Git) -> bool:
    """Whether the repository lacks objects that it would fetch when they are needed. `git` is in the repository."""
    return any(key != "core.sparsecheckout" for key in _set_keys(git))


def warnings_about(git: Git, *, commit: str, shallow: bool) -> list[str]:
    """`git` is in the user's repository. Costs 3 ms more than nothing, whatever its size."""
    keys = _set_keys(git)
    told: list[str] = []
    if shallow:
        told.append("The repository is shallow: the run sees its history only as far as it is there.")
    if any(key != "core.sparsecheckout" for key in keys):
        told.append(
            "The repository is a partial clone: the run gets its base without history, and nothing is fetched for it."
        )
    if "core.sparsecheckout" in keys:
        told.append("The checkout is sparse; the run works on the whole tree of the commit.")
    listed = git.run("ls-tree", "--name-only", "-z", "--full-tree", commit, ".gitmodules", ".gitattributes").paths
    if ".gitmodules" in listed:
        count = len(_submodules(git, commit))
        told.append(
            f"{count} submodule{' is' if count == 1 else 's are'} not fetched, their folders are empty: "
            "fetch them in the workspace's set-up command if the tests need them."
        )
    if ".gitattributes" in listed and _LFS in git.run("cat-file", "blob", f"{commit}:.gitattributes").stdout:
        told.append(
            "Files of Git LFS are not fetched: the run sees their pointers, "
            "unless the workspace's set-up command fetches the contents."
        )
    return told


def _set_keys(git: Git) -> set[str]:
    """Of the keys that matter here, those that are on; lower case, as git tells them."""
    told = git.try_run("config", "--includes", "-z", "--get-regexp", _KEYS).paths
    pairs = (entry.partition("\n") for entry in told)
    return {key for key, _, value in pairs if value.lower() not in ("false", "no", "off", "0", "")}


def _submodules(git: Git, commit: str) -> list[str]:
    listed = git.try_run("config", "--blob", f"{commit}:.gitmodules", "-z", "--name-only", "--get-regexp", r"\.path$")
    return listed.paths
