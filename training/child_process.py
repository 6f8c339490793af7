"""Runs a module of Cloche that loads a version in a separate process, and reports how it ended.

The process has only the environment variables that models get, may run in the environment that the
version was logged with, and is ended together with all processes that it started. It is a fork of a
process that has imported the module (`cloche.processes.fork_loop`), which may be started before its
work is known: its imports, which take seconds, then run beside those of the caller.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from cloche import launch
from cloche.processes import supervisor
from cloche.processes.child_variables import for_models
from cloche.training.errors import NotMeasured

PROBE = "cloche.probing"  # the module of the gate; see `cloche.training.gate.probe_process`
PROOF = "cloche.training.acceleration.proof_process"
# What most versions import when they load. skops comes first, because it searches all modules that
# exist for each function of numpy and scipy, and MLflow makes them many.
_VERSIONS = ("skops.io", "sklearn.ensemble", "mlflow.sklearn")
_USUAL = {PROBE: _VERSIONS, PROOF: _VERSIONS}
_TAIL_CHARACTERS = 300
_END_SECONDS = 10.0  # longer than a supervisor needs to end


@dataclass(frozen=True)
class Exit:
    """How a process ended.

    Attributes:
        code: Exit code; None if the process was ended at the timeout.
        description: Description of the end for people.
        tail: Last characters of what the process printed.
        in_current_environment: Whether the process ran in the current environment.
    """

    code: int | None
    description: str
    tail: str
    in_current_environment: bool


class _ImportedModule:
    """A process that has imported a module, and whose forks do the work.

    Raises:
        NotMeasured: No process can be started.
    """

    def __init__(self, module: str, extra_names: Sequence[str], python: str = "") -> None:
        variables = {
            **for_models(os.environ, extra_names),
            "PYTHONDONTWRITEBYTECODE": "1",  # bytecode files would change the model's folder
            "MLFLOW_LOGGING_LEVEL": "ERROR",
        }
        names = (*_USUAL.get(module, ()), module)
        self._in_current_environment = not python
        # unbuffered, because the process writes at the same position
        self._output = TemporaryFile(buffering=0)  # noqa: SIM115  # closed by `end`
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    launch.command("cloche.processes.fork_loop", *names, python=python),
                    stdin=theirs.fileno(),
                    stdout=self._output.fileno(),
                    stderr=subprocess.STDOUT,
                    env=variables,
                )
            except OSError as error:
                self._socket.close()
                self._output.close()
                raise NotMeasured(f"no process can be started: {error.strerror}") from error

    @property
    def is_running(self) -> bool:
        """Whether the process can work: one that does not fork ends with its first work."""
        return self._process.poll() is None

    def run(self, folder: Path, timeout: float) -> Exit:
        """Do the work of the module in `folder`; see `run_module`."""
        try:
            with suppress(OSError):  # it has ended already, and its exit code says how
                self._socket.sendall(os.fsencode(folder))
            code = self._code(timeout)
            if code is None:
                supervisor.request_end(self._process.pid)
                self._code(_END_SECONDS)
        except BaseException:
            self.end()
            raise
        self._output.seek(0)
        tail = self._output.read().decode(errors="replace")[-_TAIL_CHARACTERS:]
        self._output.seek(0)
        self._output.truncate()
        description = f"no answer within {timeout:g} s" if code is None else _describe_code(code)
        tail = " ".join(tail.split())
        return Exit(code, description, tail, in_current_environment=self._in_current_environment)

    def end(self) -> None:
        """End the process, and what it is doing."""
        self._socket.close()
        supervisor.end(self._process)
        self._output.close()

    def _code(self, timeout: float) -> int | None:
        """Return the exit code of the work, or of the process itself; None after a timeout."""
        self._socket.settimeout(timeout)
        try:
            answer = self._socket.recv(64)
        except TimeoutError:
            return None
        except OSError:
            answer = b""
        return int(answer) if answer else self._process.wait()


_imported_modules: dict[str, _ImportedModule] = {}


@contextmanager
def import_ahead(module: str, extra_names: Sequence[str] = ()) -> Iterator[None]:
    """Import a module now, in a process of its own, for the calls of `run_module` in the context.

    Raises:
        NotMeasured: No process can be started.
    """
    _imported_modules[module] = _ImportedModule(module, extra_names)
    try:
        yield
    finally:
        _imported_modules.pop(module).end()


def run_module(
    module: str, folder: Path, timeout: float, *, extra_names: Sequence[str] = (), python: str = ""
) -> Exit:
    """Do the work of a module in a new process, and wait until the process ends.

    Args:
        module: Module with the function `work`, which is called with `folder`, and the name
            `PROCESS` of its process.
        folder: Folder for the input and output files of the process.
        timeout: Seconds after which the process is ended.
        extra_names: Additional environment variables for the model; see
            `cloche.processes.child_variables`.
        python: Interpreter of the process; empty for the current one.

    Raises:
        NotMeasured: No process can be started.
    """
    imported = None if python else _imported_modules.get(module)
    if imported is not None and imported.is_running:
        return imported.run(folder, timeout)
    process = _ImportedModule(module, extra_names, python)
    try:
        return process.run(folder, timeout)
    finally:
        process.end()


def _describe_code(code: int) -> str:
    if code >= 0:
        return f"the process ended with code {code}"
    return f"the process was killed by {signal.Signals(-code).name}"
