"""The process of a model host.

`python -m serving.host FD`, where FD is its end of a socket to the front.
"""

import gc
import os
import socket
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for programs that mount the server, too
gc.disable()  # imports make few cycles and many objects: collecting is a sixth of their time

from serving.host import lifeline  # noqa: E402
from serving.host.loop import serve  # noqa: E402


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
