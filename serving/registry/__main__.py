"""The registry process.

`cloche/launch.py cloche.serving.registry FD CACHE`, where FD is its end of a socket to the front.
Where the fork server is, it is a fork that `run`s. It starts with the variables of a model's
process; those of the registry, passwords among them, are the first line that the front sends.
"""

import gc
import json
import os
import socket
import sys
from pathlib import Path

from cloche import launch
from cloche.processes import supervisor
from cloche.registry import connect_timeout


def run(front: socket.socket, cache: str) -> None:
    """Answer questions until the front closes the socket."""
    launch.hide_memory()  # before there is a secret in it
    with front.makefile("rb") as lines:  # nothing else comes before HELLO was said
        os.environ.update(json.loads(lines.readline()))
    connect_timeout.fail_soon(os.environ)
    gc.disable()  # imports make few cycles and many objects: collecting is a sixth of their time
    from cloche.serving.registry.service import serve  # noqa: PLC0415  # MLflow and more

    gc.freeze()
    gc.enable()
    with front:
        serve(front, Path(cache))


def main() -> None:
    """Answer as a process of its own."""
    front, cache = int(sys.argv[1]), sys.argv[2]
    supervisor.run(lambda: run(socket.socket(fileno=front), cache), "cloche-registry")
