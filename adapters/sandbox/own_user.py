"""The unprivileged user of one command, from its taking to its return. Standard library only: the guard loads it."""

from __future__ import annotations

from adapters.sandbox import idmap, users

TYPE_CHECKING = False  # typing would add 5 ms to every start
if TYPE_CHECKING:
    from typing import Any


def take(request: dict[str, Any]) -> None:
    """A user for the command, where there are some to give. Its worktree is shown to it as its own where the kernel can
    do that (inside bubblewrap, since the mount must be ours alone), else given to it and taken back."""
    span, request["user"], request["shown"] = request["users"], None, False
    if span is None:
        return
    request["user"], _held_until_we_end = users.take(*span)
    trouble = "other users of this machine can enter it"
    if request["wrapper"] and request["may_show"]:
        try:
            idmap.own_mounts()
            idmap.show_as(request["user"], request["show"])
            request["shown"] = True
        except OSError as error:
            trouble = str(error)
    if not request["shown"] and not request["may_give"]:
        raise OSError(f"{', '.join(request['show'])} cannot be shown to another user as its own ({trouble})")


def give_back(request: dict[str, Any]) -> None:
    if request["user"] is not None:
        users.end_all(request["user"])
        if not request["shown"] and request["may_give"]:
            users.take_back(request["show"], request["user"])
        users.leave(request["user"])
