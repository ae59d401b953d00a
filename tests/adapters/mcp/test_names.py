import re

from hypothesis import given
from hypothesis import strategies as st

from adapters.mcp.names import offered_name

TAKEN_BY_PROVIDERS = re.compile(r"[A-Za-z0-9_-]{1,64}")


def test_a_plain_name_is_prefixed_by_its_server() -> None:
    assert offered_name("files", "read-all_2") == "files__read-all_2"


@given(st.text(min_size=1, max_size=200))
def test_every_name_is_one_that_providers_take(tool: str) -> None:
    assert TAKEN_BY_PROVIDERS.fullmatch(offered_name("a" * 40, tool))


@given(st.lists(st.text(alphabet="ab./ _-ä", min_size=1, max_size=80), min_size=2, max_size=8, unique=True))
def test_two_tools_never_get_one_name(tools: list[str]) -> None:
    assert len({offered_name("server", tool) for tool in tools}) == len(tools)


def test_a_name_is_the_same_in_every_execution() -> None:
    assert offered_name("db", "query.rows") == offered_name("db", "query.rows") != offered_name("db", "query_rows")
