"""All tools of one execution as one: which box has which, and what a call of it may do."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence

from domain.agents.tools import ToolBox, ToolOutcome
from domain.errors import PhaseFailure
from domain.models.messages import ToolSpec
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.words import Effect

TITLE_CHARACTERS = 200
_SAYS_MOST = ("path", "command", "pattern", "summary")
"""The argument that a title shows."""


class Tools:
    """`unsafe`: names that the pipeline declares as reaching outside, whatever their box says."""

    def __init__(self, boxes: Sequence[ToolBox], *, unsafe: Collection[str]) -> None:
        """Raises PhaseFailure(workspace) when two boxes have a tool of the same name."""
        self._box_of: dict[str, ToolBox] = {}
        self._unsafe = frozenset(unsafe)
        self.specs: tuple[ToolSpec, ...] = tuple(spec for box in boxes for spec in box.specs)
        for box in boxes:
            for spec in box.specs:
                if spec.name in self._box_of:
                    raise PhaseFailure(_twice(spec.name))
                self._box_of[spec.name] = box

    @property
    def names(self) -> Collection[str]:
        return self._box_of.keys()

    def effect_of(self, name: str) -> Effect:
        return Effect.UNSAFE if name in self._unsafe else self._box_of[name].effect_of(name)

    async def call(self, name: str, arguments: dict[str, object]) -> ToolOutcome:
        return await self._box_of[name].call(name, arguments)


def title_of(name: str, arguments: Mapping[str, object], clean: Callable[[str], str]) -> str:
    """`write_file src/x.py`, `run_command pytest -q`: one line. `clean` is given the whole text: a part of a secret is
    not recognized."""
    shown = next((str(arguments[key]) for key in _SAYS_MOST if key in arguments), "")
    if not shown and arguments:
        shown = json.dumps(dict(arguments), ensure_ascii=False)
    line = " ".join(clean(f"{name} {shown}").split())
    return line if len(line) <= TITLE_CHARACTERS else f"{line[: TITLE_CHARACTERS - 1]}…"


def _twice(name: str) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.WORKSPACE,
        message=f"Two tools of this agent are called `{name}`.",
        hint="Give the workspace's tool servers different names.",
    )
