"""The process of a model host.

`cloche/launch.py cloche.serving.host FD`, where FD is its end of a socket to the front. Where the
fork server is, hosts of its environment are forks that `run`.
"""

import gc
import socket
import sys

from cloche.processes import supervisor
from cloche.serving.host import log_levels


def run(front: socket.socket) -> None:
    """Serve until the front closes the socket."""
    gc.disable()  # imports make few cycles and many objects: collecting is a sixth of their time
    from cloche.serving.host.loop import serve  # noqa: PLC0415  # MLflow and more

    log_levels.configure()
    with front:
        serve(front)


def main() -> None:
    """Serve as a process of its own."""
    supervisor.run(lambda: run(socket.socket(fileno=int(sys.argv[1]))), "cloche-host")
