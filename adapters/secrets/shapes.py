"""Shapes that are unmistakably credentials, for secrets that nobody has told us about.

A shape is a beginning, then a run of characters of one class, at least `least` long; the run is hidden whatever its
length. Conservative on purpose: a beginning that also occurs in ordinary text needs a digit near it. Only bounded
repetition, so matching is linear.
"""

import re
from dataclasses import dataclass, field

_WORD = "A-Za-z0-9_-"
_BEARER = r"A-Za-z0-9._~+/=-"


@dataclass(frozen=True)
class Shape:
    """`beginnings` are literals (any case with `any_case`), not preceded by a letter or digit."""

    name: str
    beginnings: tuple[str, ...]
    body: str
    """Inside of a character class."""
    least: int
    needs_digit: bool = False
    """One of the first `least` characters of the run is a digit."""
    keep_beginning: bool = False
    """The beginning says what was hidden, and is no secret itself."""
    any_case: bool = False
    whole: re.Pattern[str] = field(init=False)
    """The beginning, then group `run`: the first `least` characters that decide."""
    unfinished: re.Pattern[str] = field(init=False)
    """What could still become the shape when more text comes; only at the text's end."""
    _run: re.Pattern[str] = field(init=False)
    window: int = field(init=False)
    """How many characters at the end can matter to `unfinished`."""

    def __post_init__(self) -> None:
        flags = re.IGNORECASE | re.ASCII if self.any_case else re.NOFLAG
        edge = "(?<![A-Za-z0-9])"
        starts = "|".join(re.escape(text) for text in sorted(self.beginnings, key=len, reverse=True))
        digit = rf"(?=[{self.body}]{{0,{self.least - 1}}}[0-9])" if self.needs_digit else ""
        partial = {text[:size] for text in self.beginnings for size in range(1, len(text))}
        partials = "|".join(re.escape(text) for text in sorted(partial, key=len, reverse=True))
        set_ = object.__setattr__
        set_(self, "whole", re.compile(rf"{edge}(?:{starts})(?P<run>{digit}[{self.body}]{{{self.least}}})", flags))
        set_(
            self,
            "unfinished",
            re.compile(rf"{edge}(?:(?:{starts})[{self.body}]{{0,{self.least - 1}}}|{partials})\Z", flags),
        )
        set_(self, "_run", re.compile(rf"[{self.body}]*"))
        set_(self, "window", max(map(len, self.beginnings)) + self.least + 1)

    def may_be_in(self, text: str) -> bool:
        """A quick look, much faster than the search."""
        text = text.lower() if self.any_case else text
        for beginning in self.beginnings:  # noqa: SIM110 - a generator costs more than the looks
            if beginning in text:
                return True
        return False

    def run_end(self, text: str, position: int) -> int:
        """Where the run that includes the character before `position` ends."""
        match = self._run.match(text, position)
        return position if match is None else match.end()


SHAPES = (
    Shape(
        "provider key",
        (
            "sk-ant-", "sk-proj-", "sk-or-v1-", "sk-svcacct-", "sk_live_", "rk_live_", "sk_test_",
            "gsk_", "xai-", "pplx-",
        ),
        _WORD,
        16,
    ),
    Shape("openai key", ("sk-",), _WORD, 20, needs_digit=True),
    Shape("openai key without digits", ("sk-",), "A-Za-z0-9", 40),
    Shape(
        "forge token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "npm_", "pypi-", "hf_", "dop_v1_"),
        _WORD,
        20,
        needs_digit=True,
    ),
    Shape("slack token", ("xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-"), _WORD, 16, needs_digit=True),
    Shape("aws key id", ("AKIA", "ASIA"), "A-Z0-9", 16),
    Shape("google key", ("AIza",), _WORD, 30),
    Shape("google token", ("ya29.",), _WORD, 20),
    Shape("json web token", ("eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi"), "A-Za-z0-9_.-", 20),
    Shape("bearer header", ("bearer ",), _BEARER, 20, needs_digit=True, keep_beginning=True, any_case=True),
    Shape(
        "authorization header",
        (
            "authorization: bearer ", "authorization: basic ", "authorization: token ",
            '"authorization": "bearer ', '"authorization": "basic ', "'authorization': 'bearer ",
        ),
        _BEARER, 8, keep_beginning=True, any_case=True,
    ),
    Shape(
        "key header",
        ("x-api-key: ", "api-key: ", '"x-api-key": "', "'x-api-key': '", '"api-key": "'),
        _BEARER, 16, keep_beginning=True, any_case=True,
    ),
    Shape(
        "private key",
        tuple(f"-----BEGIN {kind}PRIVATE KEY-----" for kind in ("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ")),
        r"A-Za-z0-9+/=\\\r\n", 24, keep_beginning=True,
    ),
)  # fmt: skip

_USER = r"[^\s/:@\"'<>]"
_PASSWORD = r"[^\s/@\"'<>]"
_USER_MAX, _PASSWORD_MAX = 128, 512
URL_PASSWORD = re.compile(rf"://{_USER}{{0,{_USER_MAX}}}:(?P<run>{_PASSWORD}{{1,{_PASSWORD_MAX}}})@")
"""`scheme://user:password@host`; the password is hidden."""
URL_UNFINISHED = re.compile(rf"(?:://{_USER}{{0,{_USER_MAX}}}(?::{_PASSWORD}{{0,{_PASSWORD_MAX}}})?|:/?)\Z")
URL_WINDOW = 3 + _USER_MAX + 1 + _PASSWORD_MAX + 1
