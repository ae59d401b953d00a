"""Files and folders without permissions neither stop a run nor drop out of its tree."""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.adapters.workspace.conftest import UserRepo, started

AS_ORDINARY_USER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
"""Root reads everything, unless these capabilities are taken away."""


async def test_folders_without_permissions_do_not_stop_a_run(user_repo: UserRepo, state: Path) -> None:
    words = [sys.executable, "-m", "tests.adapters.workspace.unreadable", str(state), str(user_repo.path)]
    with started(*(AS_ORDINARY_USER if os.geteuid() == 0 else ()), *words) as process:
        said, _ = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert json.loads(said) == {"added": 1, "gone": True, "tracked": True, "reclaimed": True}
