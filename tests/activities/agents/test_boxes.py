"""All tools of an execution as one, and the titles that people know calls by."""

import pytest

from activities.agents.boxes import TITLE_CHARACTERS, Tools, title_of
from domain.agents.tools import ToolOutcome
from domain.errors import PhaseFailure
from domain.models.messages import ToolSpec
from domain.runs.words import Effect

SECRET = "sk-0123456789"


def _clean(text: str) -> str:
    return text.replace(SECRET, "***")


class Box:
    """A box with these tools, all of them reading only."""

    def __init__(self, *names: str) -> None:
        self._names = names

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(ToolSpec(name=name, description="", parameters={"type": "object"}) for name in self._names)

    def effect_of(self, name: str) -> Effect:
        return Effect.NONE

    async def call(self, name: str, arguments: dict[str, object]) -> ToolOutcome:
        return ToolOutcome(text=f"{self._names[0]}: {name}")


@pytest.mark.parametrize(
    ("name", "arguments", "title"),
    [
        ("write_file", {"text": "x", "path": "src/x.py"}, "write_file src/x.py"),
        ("run_command", {"command": "pytest\n  -q"}, "run_command pytest -q"),
        ("search", {"pattern": "def .*", "glob": "*.py"}, "search def .*"),
        ("list_files", {}, "list_files"),
        ("tickets__close", {"id": 7}, 'tickets__close {"id": 7}'),
    ],
)
def test_a_call_has_a_title_of_one_line(name: str, arguments: dict[str, object], title: str) -> None:
    assert title_of(name, arguments, _clean) == title


@pytest.mark.parametrize("before", range(TITLE_CHARACTERS - len(SECRET) - 20, TITLE_CHARACTERS))
def test_no_part_of_a_secret_is_left_where_a_title_is_cut(before: int) -> None:
    title = title_of("run_command", {"command": "x" * before + SECRET + "y" * 300}, _clean)
    assert len(title) <= TITLE_CHARACTERS and "sk-" not in title


async def test_each_call_goes_to_the_box_that_has_the_tool() -> None:
    tools = Tools([Box("a", "b"), Box("c")], unsafe=("b", "nowhere"))
    assert set(tools.names) == {"a", "b", "c"}
    assert (await tools.call("c", {})).text == "c: c"
    assert [tools.effect_of(name) for name in "abc"] == [Effect.NONE, Effect.UNSAFE, Effect.NONE]


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(PhaseFailure, match="Two tools of this agent are called `b`"):
        Tools([Box("a", "b"), Box("b")], unsafe=())
