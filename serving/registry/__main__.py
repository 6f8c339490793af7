"""The registry process.

It is started as `cloche/launch.py cloche.serving.registry FD CACHE`, where FD is its end of a
socket to the front; a server with a fork server forks it and calls `run` instead. The process
starts with the environment variables of a model host. The variables for the registry, passwords
among them, arrive as the first line that the front sends.
"""

import json
import os
import socket
import sys
from pathlib import Path

from cloche import launch
from cloche.processes import quick_imports, supervisor
from cloche.registry import connect_timeout


def run(front: socket.socket, cache: str) -> None:
    """Answer requests until the front closes the socket."""
    launch.hide_memory()  # before the memory holds a secret
    with front.makefile("rb") as lines:  # the front sends nothing else before it has read HELLO
        os.environ.update(json.loads(lines.readline()))
    connect_timeout.shorten_timeouts(os.environ)
    with quick_imports.without_collection():
        from cloche.serving.registry.service import serve  # noqa: PLC0415  # imports MLflow
    with front:
        serve(front, Path(cache))


def main() -> None:
    """Run the registry process, with the socket and the cache from the command line."""
    front, cache = int(sys.argv[1]), sys.argv[2]
    supervisor.run(lambda: run(socket.socket(fileno=front), cache), "cloche-registry")
