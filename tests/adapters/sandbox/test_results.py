"""What a command's result says, and what the command itself sees."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.sandbox.guarded import GuardedSandbox
from adapters.secrets.redactor import SecretRedactor
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
from domain.sandbox.ports import CommandEnd, ResourceLimits
from tests.adapters.sandbox.conftest import SEARCH_PATH, Bench


async def test_output_and_exit_code(bench: Bench) -> None:
    result = await bench.run("echo out; echo err >&2; exit 7")
    assert (result.end, result.exit_code, result.signal) == (CommandEnd.EXITED, 7, None)
    assert result.output == bench.heard == "out\nerr\n"
    assert result.left_out_bytes == 0
    assert result.run_seconds > 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
async def test_a_signal_is_named(bench: Bench, number: signal.Signals) -> None:
    result = await bench.run(f"kill -{number} $$")
    assert (result.end, result.exit_code, result.signal) == (CommandEnd.EXITED, None, number.name)


async def test_cpu_time_counts_the_whole_tree(bench: Bench) -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    result = await bench.run(f'python -c "{burn}" & python -c "{burn}" & wait')
    assert result.cpu_seconds >= 0.8


async def test_the_environment_is_scrubbed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MILLWRIGHT_API_KEY", "DATABASE_URL", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "planted-in-the-worker")
    result = await bench.run(("env",), env={"WANTED": "yes"})
    names = {line.partition("=")[0] for line in result.output.splitlines()}
    assert names - {"PWD"} == {"PATH", "HOME", "LANG", "TMPDIR", "WANTED", "BENCH", "SANDBOX_COMMAND"}
    assert "planted" not in result.output


async def test_nothing_of_the_worker_is_in_any_ancestor_but_the_worker(
    plain: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-in-the-worker")
    result = await plain.run("cat /proc/$PPID/environ /proc/$PPID/cmdline | tr '\\0' '\\n'")
    assert "guard" in result.output
    assert "planted" not in result.output


async def test_home_and_temporary_folder_are_private_and_go_away(bench: Bench) -> None:
    result = await bench.run('touch "$HOME/a" "$TMPDIR/b"; mkdir -m 000 "$TMPDIR/c"; stat -c %a "$HOME"; echo "$HOME"')
    mode, home = result.output.split()
    assert mode == "700"
    assert not Path(home).parent.exists()


async def test_a_given_home_stays(bench: Bench, tmp_path: Path) -> None:
    home = tmp_path / "home"
    await bench.run('echo kept > "$HOME/file"', home=home)
    assert (home / "file").read_text() == "kept\n"


async def test_standard_input_is_empty(bench: Bench) -> None:
    result = await bench.run("cat; echo end")
    assert result.output == "end\n"


async def test_no_descriptor_of_the_guard_reaches_the_command(bench: Bench) -> None:
    result = await bench.run(bench.python("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"))
    assert result.output.strip() == "[0, 1, 2, 3]"  # 3 is the listing itself


async def test_limits(bench: Bench) -> None:
    limits = ResourceLimits(open_files=64, file_bytes=4096)
    result = await bench.run("ulimit -n; ulimit -c; head -c 10000 /dev/zero > big; ls -s big", limits=limits)
    assert result.output.splitlines()[:2] == ["64", "0"]
    assert (bench.cwd / "big").stat().st_size == 4096


async def test_a_file_beyond_its_limit_ends_the_writer_by_its_signal(plain: Bench) -> None:
    result = await plain.run("exec head -c 10000 /dev/zero > big", limits=ResourceLimits(file_bytes=4096))
    assert result.signal == "SIGXFSZ"


async def test_privileges_cannot_be_gained(bench: Bench) -> None:
    result = await bench.run(("grep", "NoNewPrivs", "/proc/self/status"))
    assert result.output.split() == ["NoNewPrivs:", "1"]


@pytest.mark.parametrize(
    ("argv", "cwd", "named"),
    [
        (("no-such-program",), ".", "no-such-program"),
        (("/bin/sh",), "missing-folder", "missing-folder"),
        (("./not-executable",), ".", "not-executable"),
    ],
)
async def test_what_cannot_be_started_is_refused_by_name(
    bench: Bench, argv: tuple[str, ...], cwd: str, named: str
) -> None:
    (bench.cwd / "not-executable").write_text("")
    with pytest.raises(PhaseFailure) as caught:
        await bench.run(argv, cwd=bench.cwd / cwd)
    assert caught.value.error.kind is ErrorKind.SANDBOX
    assert named in caught.value.error.message
    assert caught.value.error.hint


async def test_a_secret_where_the_shown_command_is_cut_is_hidden_whole(tmp_path: Path) -> None:
    secret = "not-a-shape-but-known"
    sandbox = GuardedSandbox(SecretRedactor([secret]), search_path=SEARCH_PATH, bubblewrap_mode="off")
    with pytest.raises(PhaseFailure) as caught:
        await Bench(sandbox, tmp_path).run(("no-such-program", "." * 170, secret))
    assert "[redacted]" in caught.value.error.message
    assert secret[:8] not in caught.value.error.message


async def test_no_capability_but_what_a_containers_root_keeps(bench: Bench) -> None:
    """None at all with a user of its own."""
    result = await bench.run(("grep", "Cap[EBI]", "/proc/self/status"))
    as_root = os.geteuid() == 0 and not bench.own_user
    effective, bounding = (int(result.output.split()[at], 16) for at in (3, 5))
    assert effective == (0xA80425FB if as_root else 0)
    assert bounding == (0xA80425FB if as_root else bounding if os.geteuid() else 0)


SECRETIVE = """
import asyncio, os, sys
from pathlib import Path
from adapters.sandbox.guarded import GuardedSandbox
from adapters.process import forbid_dumping
from domain.sandbox.ports import Command, shell
from tests.adapters.sandbox.conftest import PlainRedactor

async def note(text): ...

async def main():
    sandbox = GuardedSandbox(PlainRedactor(), search_path="/usr/bin:/bin", bubblewrap_mode="off")
    script = f"cat /proc/{os.getpid()}/environ || echo closed; head -c 1 /proc/{os.getpid()}/mem || echo closed"
    command = Command(argv=shell(script), cwd=Path("/"), time_limit_seconds=30, stall_seconds=30)
    print((await sandbox.run(command, on_output=note, should_stop=lambda: None)).output)

forbid_dumping()
asyncio.run(main())
"""


def test_a_command_cannot_read_the_environment_of_its_worker() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SECRETIVE],
        env=os.environ | {"OPENAI_API_KEY": "planted"},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[3],
        timeout=60,
    )
    assert done.stdout.count("closed") == 2
    assert "planted" not in done.stdout
