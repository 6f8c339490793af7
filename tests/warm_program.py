"""The programs `cloche`, `mlflow` and `python` of a test's shell.

What `_warm` names is done by a fork of the process of `warm.py`, which says how. Everything else is
done by the real program, which takes the place of this one.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from typing import NoReturn

_COMMANDS = {
    "accelerate", "doctor", "init", "promote", "report", "rollback", "sample", "score", "status",
    "train",
}  # fmt: skip
# Modules that `launch.py` runs; those that talk by a socket are told its number.
_LAUNCHED = {
    "cloche.processes.fork_loop",
    "cloche.serving.batch.scoring.worker_process",
    "cloche.serving.forkserver",
}
_TOLD_SOCKET = {"cloche.serving.batch.scoring.worker_process", "cloche.serving.forkserver"}
# Servers are processes of their own; what they start by `sys.executable` is a fork of the warm one.
_SERVERS = {"container", "serve", "up"}
_SERVER = """
import sys
sys.executable = sys.argv.pop(1)
sys.argv[0] = "cloche"
from cloche.main import main
main()
"""
_STARTED = 300  # seconds until the warm process listens, on a machine that is busy


def main(kind: str, python: str, address: str) -> NoReturn:
    """Have the warm process do it, or be the program itself.

    Args:
        kind: `cloche`, `mlflow` or `python`.
        python: The interpreter whose programs they are.
        address: Where the warm process listens.
    """
    arguments = sys.argv[1:]
    if kind == "cloche" and arguments and arguments[0] in _SERVERS:
        ours = f"{sys.argv[0].rpartition('/')[0]}/python"
        os.execv(python, [python, "-Pc", _SERVER, ours, *arguments])  # noqa: S606  # no shell is wanted
    if not _warm(kind, arguments):
        program = python if kind == "python" else f"{python.rpartition('/')[0]}/{kind}"
        os.execv(program, [program, *arguments])  # noqa: S606  # no shell is wanted
    with _connected(address) as warm:
        module, *rest = launched(arguments) or [""]
        descriptors = [0, 1, 2, int(rest[0])] if module in _TOLD_SOCKET else [0, 1, 2]
        told = json.dumps({
            "kind": kind, "arguments": arguments, "program": sys.argv[0],
            "folder": os.getcwd(),  # noqa: PTH109  # pathlib takes a third of this program's time
            "variables": dict(os.environ), "descriptors": descriptors,
        }).encode()  # fmt: skip
        socket.send_fds(warm, [len(told).to_bytes(8, "big")], descriptors)
        warm.sendall(told)
        child = int.from_bytes(warm.recv(8), "big")
        with open(f"{address}.{os.getpid()}", "w", encoding="ascii") as note:  # noqa: PTH123
            note.write(str(child))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGRTMIN):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda got, _: os.kill(child, got))
        code = int.from_bytes(warm.recv(8), "big", signed=True)
    if code < 0:
        with contextlib.suppress(OSError):  # it may be SIGKILL
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _warm(kind: str, arguments: list[str]) -> bool:
    first = arguments[0] if arguments else ""
    if kind == "cloche":
        return first in _COMMANDS
    if kind == "mlflow":
        return arguments[:2] == ["models", "predict"] or first == "deployments"
    if arguments[:2] == ["-m", "cloche"]:
        return _warm("cloche", arguments[2:])
    if told := launched(arguments):
        return _warm("cloche", told[1:]) if told[0] == "cloche.main" else told[0] in _LAUNCHED
    return first in ("-", "-c") or first.endswith(".py")


def launched(arguments: list[str]) -> list[str]:
    """The module that `launch.py` is to run, and its arguments; empty for another program."""
    by_path = arguments[:1] == ["-P"] and arguments[1].endswith("/cloche/launch.py")
    return arguments[2:] if by_path else []


def _connected(address: str) -> socket.socket:
    began = time.monotonic()
    while True:
        warm = socket.socket(socket.AF_UNIX)
        try:
            warm.connect(address)
        except OSError:
            warm.close()
            if time.monotonic() - began > _STARTED:
                raise
            time.sleep(0.05)
        else:
            return warm
