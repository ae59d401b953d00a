"""The answer of one check of `doctor`."""

from typing import Literal

from domain.base import Frozen


class Check(Frozen):
    """`failed` is needed and not there, `missing` can be done without, `note` is worth knowing."""

    name: str
    status: Literal["ok", "note", "missing", "failed"]
    found: str
    """What is there; never the value of a secret."""
    what_to_do: str = ""
