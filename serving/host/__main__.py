"""The process of a model host.

`python -m serving.host FD`, where FD is its end of a socket to the front.
"""

import os
import socket
import sys

from serving.host import lifeline
from serving.host.loop import serve


def main() -> int:
    """Serve until the front closes the socket."""
    lifeline.die_with_parent()
    lifeline.leave_signals_to_parent()
    with socket.socket(fileno=int(sys.argv[1])) as front:
        serve(front)
    sys.stdout.flush()
    os._exit(0)  # threads that a model left behind must not keep a finished host alive


if __name__ == "__main__":
    main()
