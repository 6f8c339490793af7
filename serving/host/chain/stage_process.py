"""The client of a stage's own process; `__main__.py` is that process."""

import json
import pickle
import socket
import subprocess
import weakref
from contextlib import suppress
from io import BufferedRWPair
from pathlib import Path
from typing import Any

import pyarrow as pa

from cloche import launch
from cloche.processes import supervisor
from cloche.serving.host.chain.messages import rebuilt_error, rows_message

_END_SECONDS = 5.0


class StageProcess:
    """A stage in a process of its own.

    It ends with this process. If it dies, this process dies as it did: whoever waits for the
    answer of a chain then sees what it would see if the stage were in this process.
    """

    def __init__(self, name: str, folder: Path, python: str) -> None:
        """Start the process, and wait until it has loaded the stage.

        Args:
            name: `stage NAME VERSION`, for messages.
            folder: Its artifacts.
            python: The interpreter; empty for the current one.

        Raises:
            Exception: Any error of MLflow or of the stage's code while loading.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = (str(theirs.fileno()), name, str(folder))
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                launch.command("cloche.serving.host.chain", *arguments, python=python),
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL,
            )  # fmt: skip
        with ours:
            self._stream = ours.makefile("rwb")
        weakref.finalize(self, _end, self._stream, self._process)
        self._receive()

    def prepare(self, rows: Any) -> pa.Table:
        """See `LoadedStage.prepare`."""
        message = pickle.dumps(rows_message(rows), protocol=5)
        with suppress(OSError):  # the process has ended, which the answer tells
            self._stream.write(message)
            self._stream.flush()
        return self._receive()

    def _receive(self) -> pa.Table:
        """Return the table of an answer; one without columns tells that the stage is loaded.

        Raises:
            Exception: The error that the process tells of.
        """
        try:
            error = json.loads(self._stream.readline())
            if not error:
                with pa.ipc.open_stream(self._stream) as stream:
                    return stream.read_all()
        except (OSError, ValueError):  # the process has ended within an answer, or before it
            supervisor.end_like(self._process.wait())
        raise rebuilt_error(error)


def _end(stream: BufferedRWPair, process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):
        stream.close()
    supervisor.end(process, _END_SECONDS)
