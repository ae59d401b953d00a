"""`python -m cli.stack.temporal_download FOLDER`: the Temporal SDK fetches its dev server into FOLDER.

A process of its own, so that a network that swallows packets can be given up on.
"""

import asyncio
import sys
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from cli.stack.temporal_binary import VERSION


async def download(folder: Path) -> None:
    server = await WorkflowEnvironment.start_local(
        dev_server_download_version=f"v{VERSION}", download_dest_dir=str(folder)
    )
    await server.shutdown()


if __name__ == "__main__":
    try:
        asyncio.run(download(Path(sys.argv[1])))
    except RuntimeError as error:
        sys.exit(str(error))
