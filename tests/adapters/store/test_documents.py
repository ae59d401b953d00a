"""JSON that PostgreSQL can hold, whatever a command or a model wrote."""

import json

from hypothesis import given
from hypothesis import strategies as st

from adapters.store.documents import arguments, embed


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["\x00", "\\u0000", "\\\x00", "\\\\u0000"])
)
def test_only_the_nul_character_is_replaced(text: str) -> None:
    written = arguments(text=text)
    assert json.loads(written)["text"] == text.replace("\x00", "\ufffd")


def test_documents_are_put_in_beside_plain_values() -> None:
    assert json.loads(embed(arguments(a=1), b='{"c": 2}', d=None)) == {"a": 1, "b": {"c": 2}}
