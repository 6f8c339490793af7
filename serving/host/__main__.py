"""The entry point of a model host's process.

Run as `cloche/launch.py cloche.serving.host FD`, where FD is the file descriptor of the host's end
of a socket to the front. Hosts in the fork server's environment are its forks, and call `run`.
"""

import gc
import socket
import sys

from cloche.processes import supervisor
from cloche.serving.host import log_levels


def run(front: socket.socket) -> None:
    """Serve until the front closes the socket."""
    gc.disable()  # garbage collection takes a sixth of the import time, and finds few cycles
    from cloche.serving.host.loop import serve  # noqa: PLC0415  # it imports MLflow, which is slow

    log_levels.configure()
    with front:
        serve(front)


def main() -> None:
    """Serve in this process, which the front has started."""
    supervisor.run(lambda: run(socket.socket(fileno=int(sys.argv[1]))), "cloche-host")
