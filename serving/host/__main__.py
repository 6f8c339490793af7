"""The process of a model host.

`cloche/launch.py cloche.serving.host FD`, where FD is its end of a socket to the front. Where the
fork server is, hosts of its environment are forks that `run`.
"""

import gc
import os
import socket
import sys

from cloche.serving.host import lifeline


def run(front: socket.socket) -> None:
    """Serve until the front closes the socket."""
    gc.disable()  # imports make few cycles and many objects: collecting is a sixth of their time
    from cloche.serving.host.loop import serve  # noqa: PLC0415  # MLflow and more

    with front:
        serve(front)


def main() -> None:
    """Serve as a process of its own."""
    lifeline.die_with_parent()
    lifeline.leave_signals_to_parent()
    lifeline.name("cloche-host")
    run(socket.socket(fileno=int(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)  # threads that a model left behind must not keep a finished host alive
