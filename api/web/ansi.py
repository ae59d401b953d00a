"""Output with ANSI colours as HTML: classes only (the CSP allows no inline style), everything else escaped.

`rich` reads the escape sequences; cursor movement, titles, links and any other trick are dropped. One `AnsiHtml`
per execution keeps the colour, and a sequence that was cut between two chunks, until the next chunk comes.
"""

import re

from markupsafe import Markup, escape
from rich.ansi import AnsiDecoder
from rich.color import Color, ColorSystem
from rich.style import Style

_CUT_SEQUENCE = re.compile(
    r"(?:\x1b(?:\[[0-9;:?<=>]{0,64}|\][^\x07\x1b]{0,4096}\x1b?|[PX^_][^\x1b]{0,4096}\x1b?)?|\r)\Z"
)
_STRINGS = re.compile(r"\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]*\x1b\\")
"""Titles, links, device control and application strings: dropped whole."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Controls but tab, newline, return and escape; and the marks that turn the direction of what follows."""
_COLOUR_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


class AnsiHtml:
    """Streams the text of one execution; the result of every `feed` is complete HTML."""

    def __init__(self) -> None:
        self._decoder = AnsiDecoder()
        self._held = ""

    def feed(self, text: str) -> Markup:
        text = self._held + text
        cut = _CUT_SEQUENCE.search(text)
        self._held = cut.group() if cut else ""
        if cut:
            text = text[: cut.start()]
        return self._render(text)

    def flush(self) -> Markup:
        """What was held back; a cut sequence at the very end is dropped."""
        held, self._held = self._held, ""
        return Markup("\n") if held == "\r" else Markup("")

    def _render(self, text: str) -> Markup:
        clean = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _STRINGS.sub("", text.replace("\r\n", "\n")))
        return Markup("\n").join(self._line(line) for line in clean.split("\n"))

    def _line(self, line: str) -> Markup:
        decoded = self._decoder.decode_line(line)
        if not decoded.spans:
            return escape(_no_escape(decoded.plain))
        parts: list[Markup] = []
        position = 0
        for span in decoded.spans:
            parts.append(escape(_no_escape(decoded.plain[position : span.start])))
            piece = escape(_no_escape(decoded.plain[span.start : span.end]))
            names = _classes(span.style) if isinstance(span.style, Style) else ""
            parts.append(Markup('<span class="{}">{}</span>').format(names, piece) if names else piece)
            position = span.end
        parts.append(escape(_no_escape(decoded.plain[position:])))
        return Markup("").join(parts)


def ansi_html(text: str) -> Markup:
    """A whole text at once."""
    renderer = AnsiHtml()
    return renderer.feed(text) + renderer.flush()


def _no_escape(text: str) -> str:
    """A sequence that rich did not know leaves its escape character; show it, so that nothing hides."""
    return text.replace("\x1b", "\N{SYMBOL FOR ESCAPE}")


def _classes(style: Style) -> str:
    flags = {
        "a-bold": style.bold,
        "a-dim": style.dim,
        "a-italic": style.italic,
        "a-underline": style.underline,
        "a-strike": style.strike,
        "a-reverse": style.reverse,
    }
    names = [name for name, on in flags.items() if on]
    names += [_colour(style.color, "a-fg"), _colour(style.bgcolor, "a-bg")]
    return " ".join(name for name in names if name)


def _colour(colour: Color | None, prefix: str) -> str:
    if colour is None or colour.is_default:
        return ""
    number = colour.downgrade(ColorSystem.STANDARD).number
    if number is None:
        return ""
    bright = "-bright" if number >= 8 else ""
    return f"{prefix}-{_COLOUR_NAMES[number % 8]}{bright}"
