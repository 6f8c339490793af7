"""The process of a fork server.

`cloche/launch.py cloche.serving.forkserver FD PROGRAM...`, where FD is its end of a socket to the
front, and each PROGRAM names a program whose modules are imported in advance.
"""

import contextlib
import gc
import os
import socket
import sys

from cloche.processes import parent_watch
from cloche.serving.forkserver.protocol import Program
from cloche.serving.forkserver.server import ForkServer


def main() -> None:
    """Serve until the front closes the socket."""
    parent_watch.die_with_parent()
    parent_watch.ignore_group_signals()
    parent_watch.set_process_name("cloche-forks")
    gc.disable()  # imports make few cycles and many objects: collection takes a sixth of the time
    with (
        contextlib.suppress(ConnectionError),  # the front died meanwhile
        socket.socket(fileno=int(sys.argv[1])) as front,
    ):
        ForkServer(front, [Program(name) for name in sys.argv[2:]]).run()
    os._exit(0)  # the forks end with this process
