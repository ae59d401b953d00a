"""A reference becomes a value at the last moment; what is missing is named, what is secret is not."""

from pathlib import Path

import pytest

from adapters.secrets.redactor import MARK, SecretRedactor
from adapters.secrets.references import SecretResolver, parse_reference
from domain.errors import InvalidInput, PhaseFailure
from domain.runs.failure import ErrorKind


def test_environment_value_is_known_to_the_redactor_once_resolved() -> None:
    redactor = SecretRedactor()
    assert SecretResolver({"KEY": " value-one\n"}, redactor).resolve("env:KEY") == "value-one"
    assert redactor.redact("value-one") == MARK


def test_file_is_read_at_each_use(tmp_path: Path) -> None:
    redactor = SecretRedactor()
    resolver, path = SecretResolver({}, redactor), tmp_path / "a key"
    for value in ("first-value", "second-value"):
        path.write_text(f"{value}\n")
        assert resolver.resolve(f"file:{path}") == value
    assert redactor.redact("first-value second-value") == f"{MARK} {MARK}"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", b"x" * 20_000])
def test_a_file_that_gives_no_secret_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PhaseFailure) as caught:
        SecretResolver({}, SecretRedactor()).resolve(f"file:{path}")
    error = caught.value.error
    assert error.kind is ErrorKind.MISSING_CREDENTIAL
    assert f"file:{path}" in error.message
    assert str(path) in error.hint
    assert caught.value.__cause__ is None


def test_a_missing_variable_is_named_with_the_way_out() -> None:
    with pytest.raises(PhaseFailure) as caught:
        SecretResolver({"OTHER": "planted-value", "EMPTY": ""}, SecretRedactor()).resolve("env:EMPTY")
    assert "env:EMPTY" in caught.value.error.message
    assert "Set EMPTY in the environment" in caught.value.error.hint
    assert "planted" not in repr(caught.value)


@pytest.mark.parametrize("reference", ["planted-value", "", "env:", "vault:x", "file:relative/path", "file:/a\0b"])
def test_what_is_no_reference_is_refused_without_being_repeated(reference: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_reference(reference)
    assert caught.value.field == "credential"
    assert caught.value.hint
    assert "planted" not in str(caught.value)
