"""Runs a module of Cloche that loads a version in a separate process, and reports how it ended.

The process has only the environment variables that models get, may run in the environment that the
version was logged with, and is ended together with all processes that it started. It may be started
before its work is known, so that its imports, which take seconds, run beside those of the caller.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from cloche import launch
from cloche.processes import supervisor
from cloche.processes.child_variables import for_models
from cloche.training.errors import NotMeasured

PROBE = "cloche.probing"  # the module of the gate; see `cloche.training.gate.probe_process`
_TAIL_CHARACTERS = 300


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Exit code; None if the process was ended at the timeout.
        how: Description of the end for people.
        said: Last characters of what the process printed.
        own: Whether the process ran in the current environment.
    """

    code: int | None
    how: str
    said: str
    own: bool


@dataclass(frozen=True, eq=False)
class _Started:
    """A process that waits for its folder, and the file of what it prints."""

    module: str
    process: subprocess.Popen[bytes]
    input: IO[bytes]
    output: IO[bytes]

    def tell(self, folder: Path) -> None:
        """Tell the process where its files are; it may have ended already."""
        with suppress(BrokenPipeError), self.input:
            self.input.write(os.fsencode(folder))

    def end(self) -> None:
        """End the process, if it has not ended, and close its files."""
        supervisor.end(self.process)
        self.input.close()
        self.output.close()


_ahead: list[_Started] = []


@contextmanager
def started_ahead(module: str, extra_names: Sequence[str] = ()) -> Iterator[None]:
    """Start a process for the next `run_module` of the same module and of the current interpreter.

    A process that was not needed ends with the context.

    Raises:
        NotMeasured: No process can be started.
    """
    started = _start(module, extra_names, "")
    _ahead.append(started)
    try:
        yield
    finally:
        if started in _ahead:
            _ahead.remove(started)
            started.end()


def given_folder() -> Path:
    """Return, in a process of `run_module`, the folder of its files, as soon as it is known."""
    return Path(os.fsdecode(sys.stdin.buffer.read()))


def run_module(
    module: str, folder: Path, timeout: float, *, extra_names: Sequence[str] = (), python: str = ""
) -> Ended:
    """Run a module that calls `given_folder`, and wait until its process ends.

    Args:
        module: Module whose function `main` is called; see `cloche.launch`.
        folder: Folder for the input and output files of the process.
        timeout: Seconds after which the process is ended.
        extra_names: Additional environment variables for the model; see
            `cloche.processes.child_variables`.
        python: Interpreter of the process; empty for the current one.

    Raises:
        NotMeasured: No process can be started.
    """
    ready = None if python else next((one for one in _ahead if one.module == module), None)
    if ready is not None:
        _ahead.remove(ready)
    started = ready or _start(module, extra_names, python)
    try:
        started.tell(folder)
        try:
            code: int | None = started.process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        supervisor.end(started.process)
        started.output.seek(0)
        said = started.output.read().decode(errors="replace")[-_TAIL_CHARACTERS:]
    finally:
        started.end()
    how = f"no answer within {timeout:g} s" if code is None else _exit(code)
    return Ended(code, how, " ".join(said.split()), own=not python)


def _start(module: str, extra_names: Sequence[str], python: str) -> _Started:
    variables = {
        **for_models(os.environ, extra_names),
        "PYTHONDONTWRITEBYTECODE": "1",  # bytecode files would change the model's folder
        "MLFLOW_LOGGING_LEVEL": "ERROR",
    }
    output = TemporaryFile()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, in our own interpreter
            launch.command(module, python=python),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
        )
    except OSError as error:
        output.close()
        raise NotMeasured(f"no process can be started: {error.strerror}") from error
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    return _Started(module, process, process.stdin, output)


def _exit(code: int) -> str:
    if code >= 0:
        return f"the process ended with code {code}"
    return f"the process was killed by {signal.Signals(-code).name}"
