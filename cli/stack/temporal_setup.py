"""`python -m cli.stack.temporal_setup`: `make setup` gets the `temporal` program before it is needed."""

import sys

from cli.stack import temporal_binary
from cli.stack.settings import StackSettings
from cli.stack.state import StateFolder
from domain.errors import Unavailable


def main() -> None:
    settings = StackSettings()
    if settings.temporal_address:
        return
    folder = StateFolder(settings.state_folder)
    try:
        folder.create()
        temporal_binary.obtain(
            folder.bin,
            given=settings.temporal_cli,
            search_path=settings.search_path,
            say=lambda text: print(f"setup: {text}", flush=True),
        )
    except (Unavailable, OSError) as error:
        hint = error.hint if isinstance(error, Unavailable) else ""
        sys.exit(f"setup: no Temporal server: {error}\n{hint}")


if __name__ == "__main__":
    main()
