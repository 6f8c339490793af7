"""The process of a stage: `cloche/launch.py cloche.serving.host.chain FD NAME FOLDER`.

FD is the process's end of a socket to the chain. The chain sends pickled rows; the process answers
each, and before them that the stage is loaded, with a line of JSON and an Arrow stream. The line
is `null`, or the error in place of a stream.
"""

import json
import logging
import pickle
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from cloche.processes import supervisor
from cloche.serving.host.chain.loaded_stage import LoadedStage
from cloche.serving.host.chain.messages import error_message, read_rows

_encode = json.JSONEncoder().encode  # bound before a model's code can replace it


def main() -> None:
    """Answer until the chain closes the socket."""
    descriptor, name, folder = sys.argv[1:]
    supervisor.run(lambda: _run(int(descriptor), name, Path(folder)), "cloche-stage")


def _run(descriptor: int, name: str, folder: Path) -> None:
    logging.getLogger("mlflow.models.utils").setLevel(logging.ERROR)  # extra columns are fine
    with socket.socket(fileno=descriptor) as chain, chain.makefile("rwb") as stream:
        try:
            stage = LoadedStage(name, folder)
        except Exception as error:  # noqa: BLE001  # a model may raise anything while it loads
            _answer(stream, error)
            return
        _answer(stream, pa.table({}))
        with suppress(EOFError):
            while True:
                message = pickle.load(stream)  # noqa: S301  # from the process that started this one
                try:
                    answer: pa.Table | Exception = stage.prepare(read_rows(message))
                except Exception as error:  # noqa: BLE001  # any error must reach the chain
                    answer = error
                _answer(stream, answer)


def _answer(stream: Any, answer: pa.Table | Exception) -> None:
    supervisor.end_stray_fork()
    error = error_message(answer) if isinstance(answer, Exception) else None
    stream.write(_encode(error).encode() + b"\n")
    if not isinstance(answer, Exception):
        with pa.ipc.new_stream(stream, answer.schema) as table:
            table.write_table(answer)
    stream.flush()
