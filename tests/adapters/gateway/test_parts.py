"""Parts of a message in OpenAI's formats: text is carried across, all else is refused by name, whatever JSON it is."""

import pytest

from adapters.gateway.parts import joined_text
from adapters.gateway.untranslatable import Refusals
from domain.models.messages import CallRefused

KINDS = ("text", "refusal")


def test_text_of_all_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]
    assert joined_text(parts, "content", Refusals(), kinds=KINDS) == "a\nb"
    assert joined_text("a", "content", Refusals(), kinds=KINDS) == "a"
    assert joined_text(None, "content", Refusals(), kinds=KINDS) == ""


@pytest.mark.parametrize("kind", ["image_url", ["text"], {"text": 1}, None, 1])
def test_any_other_kind_is_refused_by_name(kind: object) -> None:
    refusals = Refusals()
    assert joined_text([{"type": kind, "text": "a"}], "content", refusals, kinds=KINDS) == ""
    with pytest.raises(CallRefused, match=r"content\[0\] of type"):
        refusals.settle("scripted")
