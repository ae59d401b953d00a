"""Kill points of a campaign: a folder in which hits are counted and armed kills lie.

A file `<point>.arm` holds a signal's name; the first process that hits the point takes it (by rename, so exactly
one does) and sends itself that signal. Hits are one byte each in `<point>.hits`, kills in `<point>.kills`.
"""

import os
import signal
from pathlib import Path

from domain.failpoints import AgentPoint, Failpoints, NoFailpoints, Point


class FolderFailpoints:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hit(self, point: Point | AgentPoint) -> None:
        self._count(f"{point}.hits")
        armed = self._folder / f"{point}.arm"
        taken = self._folder / f"{point}.taken.{os.getpid()}"
        try:
            armed.rename(taken)
        except FileNotFoundError:
            return
        name = taken.read_text().strip()
        taken.unlink()
        self._count(f"{point}.kills")
        os.kill(os.getpid(), signal.Signals[name])

    def _count(self, name: str) -> None:
        with (self._folder / name).open("ab") as file:
            file.write(b".")


def failpoints(folder: str | None) -> Failpoints:
    return FolderFailpoints(Path(folder)) if folder else NoFailpoints()
