"""No secret passes, in no form, at no border; ordinary text does; and it costs linear time."""

import base64
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.secrets.redactor import MARK, SecretRedactor
from adapters.secrets.shapes import SHAPES

SECRET = 'p/l+a "nted" öß&=%\\ välue-42'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
    ],
)
def test_forms_of_a_known_value_are_hidden(shown: str) -> None:
    assert SecretRedactor([SECRET]).redact(f"before {shown} after") == f"before {MARK} after"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "\n"])
def test_base64_is_hidden_wherever_the_value_lies_in_it(encode: "type[bytes]", before: str, after: str) -> None:
    encoded = encode(f"{before}hunter2-hunter2{after}".encode()).decode()
    redacted = SecretRedactor(["hunter2-hunter2"]).redact(encoded)
    assert MARK in redacted
    visible = redacted.replace(MARK, "")
    assert len(visible) <= len(encoded) - len("hunter2-hunter2") * 8 // 6 + 2


def test_each_line_of_a_key_file_is_hidden() -> None:
    lines = [f"line-{n}-of-a-key-file" for n in range(3)]
    redactor = SecretRedactor(["\n".join(lines) + "\n"])
    assert redactor.redact("  " + "\n  ".join(lines)) == f"  {MARK}\n  {MARK}\n  {MARK}"


def test_longest_of_overlapping_values_wins() -> None:
    redactor = SecretRedactor(["abcd-efgh", "abcd-efgh-ijkl", "ijkl-mnop"])
    assert redactor.redact("<abcd-efgh-ijkl-mnop>") == f"<{MARK}>"


def test_a_value_too_short_to_be_told_from_text_is_let_through() -> None:
    assert SecretRedactor(["ab", ""]).redact("a cab") == "a cab"


def test_values_added_later_are_hidden_in_open_streams() -> None:
    redactor = SecretRedactor()
    stream = redactor.stream()
    assert stream.feed("late-secret-1 ") == "late-secret-1 "
    redactor.add("late-secret-1")
    assert stream.feed("late-secret-1 ") + stream.flush() == f"{MARK} "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key sk-ant-" + "api03-aB3_" * 3 + " end", f"key {MARK} end"),
        ("OPENAI_API_KEY=sk-abcdefghij0123456789", f"OPENAI_API_KEY={MARK}"),
        ("sk-" + "aB" * 24, MARK),
        ("ghp_" + "a1B2" * 9, MARK),
        ("github_pat_" + "a1B2" * 12, MARK),
        ("glpat-" + "a1B2" * 5, MARK),
        ("xoxb-123456789012-abcdef", MARK),
        ("id AKIAIOSFODNN7EXAMPLE.", f"id {MARK}."),
        ("AIza" + "Sy_-" * 9, MARK),
        ("Authorization: Bearer abc123def456ghi789jkl", f"Authorization: Bearer {MARK}"),
        ("AUTHORIZATION: BASIC dXNlcjpwYXNz", f"AUTHORIZATION: BASIC {MARK}"),
        ('{"Authorization": "Bearer abcdefgh12345"}', '{"Authorization": "Bearer ' + MARK + '"}'),
        ("x-api-key: 0123456789abcdef", f"x-api-key: {MARK}"),
        ("postgresql://me:hunter2@host:5432/db", f"postgresql://me:{MARK}@host:5432/db"),
        ("https://x-access-token:t0ken@github.com/o/r", f"https://x-access-token:{MARK}@github.com/o/r"),
        ("redis://:hunter2@cache", f"redis://:{MARK}@cache"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", MARK),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234567890abcd\nxyz==\n-----END RSA PRIVATE KEY-----",
            f"-----BEGIN RSA PRIVATE KEY-----{MARK}-----END RSA PRIVATE KEY-----",
        ),
    ],
)
def test_unmistakable_shapes_are_hidden(text: str, expected: str) -> None:
    assert SecretRedactor().redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "the bearer of this letter",
        "bearer authentication-is-described-in-the-manual",
        "class sk-toggleable__label-arrow sk-estimator-doc-link",
        "task-1234567890abcdef1234567890 risk-assessment-2024-report-final",
        "http://localhost:8642/runs/0190f3a2-7b1c-7000-8000-000000000000?x=a@b",
        "mail me@example.org, time 12:30:45, C:\\path, std::vector<int>, ratio 3:4@home",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit 015ba73c0ffee015ba73c0ffee015ba73c0ffee0 AKIA short",
        "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA1234567890abcd\n-----END CERTIFICATE-----",
    ],
)
def test_ordinary_text_passes(text: str) -> None:
    assert SecretRedactor(["a-known-secret"]).redact(text) == text


KNOWN = ["abab-abab", "abab-ababab", "aaaa", "sk-a", "pass/word 1", "bearer aa"]
FRAGMENTS = st.sampled_from(
    [
        *KNOWN, *SecretRedactor(KNOWN).literals, *(beginning for shape in SHAPES for beginning in shape.beginnings),
        "a", "ab", "-", " ", "\n", "1", "abab", "://", ":", "/", "@", "user", "A1b2C3d4E5f6G7h8", "sk-", "bearer ",
        "AKIA", "0123456789ABCDEF", "x" * 40, "x" * 140, "é", "ſ", "K",
    ]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(FRAGMENTS, max_size=25).map("".join), st.lists(st.integers(0, 600), max_size=25))
@example("sk-bearer sk-aaaaaaaaaaaaaaaaaaaa1 bearer ", [3, 5, 11, 20])
def test_a_stream_cut_anywhere_gives_the_same_as_the_whole(text: str, cuts: list[int]) -> None:
    redactor = SecretRedactor(KNOWN)
    stream = redactor.stream()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    streamed = "".join(stream.feed(text[a:b]) for a, b in zip(edges, edges[1:], strict=False)) + stream.flush()  # noqa: RUF007
    assert streamed == redactor.redact(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=12).map("".join), st.sampled_from(KNOWN), st.lists(FRAGMENTS, max_size=12))
def test_no_known_form_is_ever_left(before: str, secret: str, after: list[str]) -> None:
    redactor = SecretRedactor(KNOWN)
    redacted = redactor.redact(before + secret + "".join(after))
    for visible in redacted.split(MARK):
        assert not any(form in visible for form in redactor.literals)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=25).map("".join))
def test_one_character_at_a_time_gives_the_same(text: str) -> None:
    redactor = SecretRedactor(KNOWN)
    stream = redactor.stream()
    assert "".join(map(stream.feed, text)) + stream.flush() == redactor.redact(text)


def test_ordinary_lines_are_not_held_back() -> None:
    stream = SecretRedactor([SECRET]).stream()
    assert stream.feed("collected 12 items\n") == "collected 12 items\n"
    assert stream.feed("tests/test_a.py ....") == "tests/test_a.py ...."


@pytest.mark.parametrize(
    "nasty",
    [
        "sk-", "bearer ", "a", "://", "://a:", "a-known-secre", "-----BEGIN PRIVATE KEY-----", "x-api-key: ",
        "sk-aaaaaaaaaaaaaaaaaaaaaaaaaa1", "://a@:", "AKIA", "eyJhbGciOi", "sk-1-", "sk-abcdefghij1234567890-",
    ],
)  # fmt: skip
def test_time_is_linear(nasty: str) -> None:
    """A quadratic matcher takes minutes for a megabyte of these."""
    redactor = SecretRedactor(["a-known-secret", "a" * 500])
    text = (nasty * (1_000_000 // len(nasty)))[:1_000_000]
    began = time.process_time()
    redactor.redact(text)
    stream = redactor.stream()
    for at in range(0, len(text), 4096):
        stream.feed(text[at : at + 4096])
    stream.flush()
    assert time.process_time() - began < 20.0


def test_the_whole_chain_of_an_exception_is_told_and_redacted() -> None:
    redactor = SecretRedactor(["hunter2-hunter2"])
    try:
        try:
            try:
                raise OSError("dsn postgresql://u:hunter2-hunter2@h/db")
            except OSError as error:
                raise ValueError("bad") from error
        except ValueError:
            raise ExceptionGroup("several", [KeyError("hunter2-hunter2"), RuntimeError()])  # noqa: B904
    except ExceptionGroup as error:
        error.add_note("seen with hunter2-hunter2")
        told = redactor.redact_exception(error)
    assert told.splitlines() == [
        "ExceptionGroup: several (2 sub-exceptions)",
        f"seen with {MARK}",
        f"KeyError: '{MARK}'",
        "RuntimeError",
        "ValueError: bad",
        f"OSError: dsn postgresql://u:{MARK}@h/db",
    ]


def test_a_chain_that_goes_in_a_circle_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert SecretRedactor().redact_exception(first) == "ValueError: first\nValueError: second"
