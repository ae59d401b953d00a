"""Output of commands is untrusted: colours become classes, everything else becomes text."""

import pytest

from api.web.ansi import AnsiHtml, ansi_html


def test_colours_become_classes_and_never_inline_style() -> None:
    shown = ansi_html("plain \x1b[1;31mred\x1b[0m \x1b[38;5;46mgreen\x1b[0m")
    assert shown == ('plain <span class="a-bold a-fg-red">red</span> <span class="a-fg-green">green</span>')


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("\x1b[31m<b>\x1b[0m", '<span class="a-fg-red">&lt;b&gt;</span>'),
        ('\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07"', "click&#34;"),
        ("\x1b]0;title\x1b\\text", "text"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1bP1;2q payload \x1b\\after", "after"),
        ("windows\r\nends\r\n", "windows\nends\n"),
        ("10%\r20%", "20%"),
        ("a\x00b\x08c", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"),
        ("safe\u202eexe", "safe\N{REPLACEMENT CHARACTER}exe"),
    ],
)
def test_tricks_do_nothing(given: str, shown: str) -> None:
    assert ansi_html(given) == shown


def test_colour_and_cut_sequences_go_on_in_the_next_chunk() -> None:
    stream = AnsiHtml()
    assert stream.feed("a \x1b[3") == "a "
    assert stream.feed("2mgreen\n") == '<span class="a-fg-green">green</span>\n'
    assert stream.feed("still\x1b[0m\r") == '<span class="a-fg-green">still</span>'
    assert stream.feed("\nend") == "\nend"
    assert stream.flush() == ""


def test_a_sequence_cut_at_any_place_gives_the_same_text() -> None:
    whole = "x\x1b[1;31mred\x1b[0m\r\ny\x1b]0;t\x07z"
    for cut in range(len(whole)):
        stream = AnsiHtml()
        joined = stream.feed(whole[:cut]) + stream.feed(whole[cut:]) + stream.flush()
        assert joined.striptags() == "xred yz", cut
