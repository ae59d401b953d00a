"""`python -m cli.stack`: the supervisor process. `up` starts it detached; a systemd unit in the foreground."""

import asyncio
import os
import signal
import sys

from cli.stack import temporal_binary
from cli.stack.plan import Plan, make_plan
from cli.stack.process import forbid_inspection, start_token
from cli.stack.settings import StackSettings
from cli.stack.state import ProcessStatus, StackStatus, StateFolder, write_atomically
from cli.stack.supervisor import PortTaken, Supervisor
from cli.stack.temporal_binary import TemporalBinary
from domain.errors import MillwrightError


def main() -> None:
    forbid_inspection()
    settings = StackSettings()
    folder = StateFolder(settings.state_folder)
    try:
        folder.create()
        binary = None
        if settings.temporal_address is None:
            binary = temporal_binary.obtain(
                folder.bin,
                given=settings.temporal_cli,
                search_path=settings.search_path,
                say=lambda text: print(text, flush=True),
            )
        plan = make_plan(settings, folder, binary)
    except (MillwrightError, OSError) as error:
        hint = error.hint if isinstance(error, MillwrightError) else ""
        sys.exit(f"the stack cannot be started: {error}\n{hint}")
    try:
        asyncio.run(_supervise(folder, plan, binary))
    except* PortTaken as taken:
        # Same process, new plan: children whose addresses still hold are adopted again.
        print(f"{taken.exceptions[0]} is taken by another process by now; planning anew", flush=True)
        os.execv(sys.executable, [sys.executable, "-P", "-m", "cli.stack"])


async def _supervise(folder: StateFolder, plan: Plan, binary: TemporalBinary | None) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    status = StackStatus(
        state_dir=str(folder.path),
        supervisor_pid=os.getpid(),
        supervisor_started=start_token(os.getpid()) or "",
        api_url=plan.api_url,
        temporal_address=plan.temporal_address,
        temporal_ui_url=plan.temporal_ui_url,
        temporal_origin=binary.origin if binary else None,
        ports=plan.ports.chosen,
        moved_ports=plan.ports.moved,
    )

    def write(processes: dict[str, ProcessStatus]) -> None:
        text = status.model_copy(update={"processes": processes}).model_dump_json(indent=2)
        write_atomically(folder.stack_file, text)

    await Supervisor(plan.steps, write).run(stopping)


if __name__ == "__main__":
    main()
