from mcp_types import AudioContent, CallToolResult, ImageContent, TextContent

from adapters.mcp.contents import MOST_CHARACTERS, cut, text_of


def test_texts_are_joined_and_other_content_is_said_by_its_type() -> None:
    result = CallToolResult(
        content=[
            TextContent(text="one"),
            ImageContent(data="AAAA", mime_type="image/png"),
            AudioContent(data="AAAAAAAA", mime_type="audio/wav"),
            TextContent(text="two"),
        ]
    )
    assert text_of(result).splitlines() == [
        "one",
        "[image, image/png, 3 bytes: not shown]",
        "[audio, audio/wav, 6 bytes: not shown]",
        "two",
    ]


def test_a_structured_result_without_text_is_shown_as_json() -> None:
    assert text_of(CallToolResult(content=[], structured_content={"größe": 3})) == '{"größe": 3}'


def test_a_long_text_keeps_both_ends_and_says_what_is_missing() -> None:
    text = "a" * MOST_CHARACTERS + "b" * MOST_CHARACTERS
    shown = cut(text)
    assert len(shown) < MOST_CHARACTERS + 100
    assert shown.startswith("aaa") and shown.endswith("bbb")
    assert f"{MOST_CHARACTERS:,} characters left out" in shown
    assert cut("short") == "short"
