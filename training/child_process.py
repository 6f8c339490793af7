"""Runs a module of Cloche that loads a version in a separate process, and reports how it ended.

The process has only the environment variables that models get, may run in the environment that the
version was logged with, and is ended together with all processes that it started.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloche import launch
from cloche.processes import supervisor
from cloche.processes.child_variables import for_models
from cloche.training.errors import NotMeasured

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


def run_module(
    module: str, folder: Path, timeout: float, *, extra_names: Sequence[str] = (), python: str = ""
) -> Ended:
    """Run a module with `folder` as its argument, and wait until its process ends.

    Args:
        module: Module whose function `main` is called; see `cloche.launch`.
        folder: Folder for the input and output files of the process; what it prints goes to
            `output.txt` there.
        timeout: Seconds after which the process is ended.
        extra_names: Additional environment variables for the model; see
            `cloche.processes.child_variables`.
        python: Interpreter of the process; empty for the current one.

    Raises:
        NotMeasured: No process can be started.
    """
    variables = {
        **for_models(os.environ, extra_names),
        "PYTHONDONTWRITEBYTECODE": "1",  # bytecode files would change the model's folder
        "MLFLOW_LOGGING_LEVEL": "ERROR",
    }
    with (folder / "output.txt").open("w+", encoding="utf-8", errors="replace") as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module, in our own interpreter
                launch.command(module, str(folder), python=python),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=variables,
            )
        except OSError as error:
            raise NotMeasured(f"no process can be started: {error.strerror}") from error
        try:
            code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            supervisor.end(process)
        output.seek(0)
        said = " ".join(output.read()[-_TAIL_CHARACTERS:].split())
    how = f"no answer within {timeout:g} s" if code is None else _exit(code)
    return Ended(code, how, said, own=not python)


def _exit(code: int) -> str:
    if code >= 0:
        return f"the process ended with code {code}"
    return f"the process was killed by {signal.Signals(-code).name}"
