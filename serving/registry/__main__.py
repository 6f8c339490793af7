"""The registry process: `python -m serving.registry FD CACHE`.

Where FD is its end of a socket to the front.
"""

import gc
import os
import socket
import sys
from pathlib import Path

from serving.host import lifeline
from serving.registry import patience


def main() -> None:
    """Answer questions until the front closes the socket."""
    lifeline.die_with_parent()
    lifeline.leave_signals_to_parent()
    patience.fail_soon(os.environ)
    gc.disable()  # imports make few cycles and many objects: collecting is a sixth of their time
    from serving.registry.service import serve  # noqa: PLC0415  # MLflow reads the environment when imported

    gc.freeze()
    gc.enable()
    with socket.socket(fileno=int(sys.argv[1])) as front:
        serve(front, Path(sys.argv[2]))
    os._exit(0)  # a download that hangs must not keep a finished process alive


if __name__ == "__main__":
    main()
