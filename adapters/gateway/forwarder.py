"""Run inside a network namespace of its own, before a command: the gateway's loopback port there leads to its socket.

`python -I -S forwarder.py --socket PATH --port N -- COMMAND...` becomes the command; a child of it forwards for as long
as the command lives. Standard library only: it runs where nothing of ours is installed.
"""

import argparse
import os
import select
import socket
import sys
import threading

LOOK_SECONDS = 0.5
"""How often the child looks whether its command is still there."""
PIECE = 65_536


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args(arguments)
    try:
        listening = socket.create_server(("127.0.0.1", asked.port))
    except OSError as error:
        sys.stderr.write(f"The gateway's port {asked.port} cannot be opened in this network namespace: {error}.\n")
        return 126
    command = os.getpid()
    if os.fork() == 0:
        _leave_streams()
        forward(listening, asked.socket, command)
        os._exit(0)
    listening.close()
    try:
        os.execvp(asked.command[0], asked.command)
    except OSError as error:
        sys.stderr.write(f"{asked.command[0]} cannot be started: {error.strerror}.\n")
        return 127


def _leave_streams() -> None:
    """The command's output ends with the command, not with us."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def forward(listening: socket.socket, path: str, command: int) -> None:
    """Until `command`, our parent, is gone."""
    while os.getppid() == command:
        ready, _, _ = select.select([listening], [], [], LOOK_SECONDS)
        if ready:
            near, _ = listening.accept()
            threading.Thread(target=_connect, args=(near, path), daemon=True).start()


def _connect(near: socket.socket, path: str) -> None:
    far = socket.socket(socket.AF_UNIX)
    with near, far:
        try:
            far.connect(path)
        except OSError:
            return
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(PIECE):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
