"""Execution of `cloche promote` and `cloche serve` as subprocesses.

The gate belongs to training, which serving must not import, so promotion runs as a command.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, INVALID_STATE

from cloche import launch
from cloche.serving.deployments.target import DeploymentOptions

_ERRORS = {1: INTERNAL_ERROR, 2: INVALID_PARAMETER_VALUE, 3: INVALID_STATE}
# Text in a message of `cloche promote` → the same advice for `mlflow deployments`.
_HINTS = {
    "--policy FILE": "Here --policy FILE is -C policy=FILE.",
    "--allow-breaking": "Here --allow-breaking is -C allow-breaking=true.",
    "the gate refused": "Overrule it with -C force=true -C reason=TEXT, or train a better one.",
}


def promote(name: str, version: str, options: DeploymentOptions) -> None:
    """Run `cloche promote`: the gate judges a version, and `production` moves to it.

    Raises:
        MlflowException: The gate refused the version, with its reasons, or could not judge it.
    """
    arguments = [name, "--version", version]
    for option, value in (("--policy", options.policy), ("--reason", options.reason)):
        arguments += [option, value] if value else []
    arguments += ["--force"] if options.force else []
    arguments += ["--allow-breaking"] if options.allow_breaking else []
    done = subprocess.run(  # noqa: S603  # our own command, with arguments that no shell reads
        _command("promote", arguments), env=_environment(), check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        message = done.stderr.rpartition("Error: ")[2].strip() or done.stderr.strip()
        raise MlflowException(
            " ".join([message, *(hint for word, hint in _HINTS.items() if word in message)]),
            error_code=_ERRORS.get(done.returncode, INTERNAL_ERROR),
        )


def serve(arguments: Sequence[str]) -> None:
    """Run `cloche serve` with `arguments` in the foreground until it is stopped.

    Raises:
        MlflowException: The server ended with an error, which it printed.
    """
    process = subprocess.Popen(_command("serve", arguments), env=_environment())  # noqa: S603  # as in `promote`
    with _passing_on(process):
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the terminal sent SIGINT to the server, too
            code = process.wait()
    if code:
        raise MlflowException(f"`cloche serve` ended with code {code}; it said why above.")


def _command(name: str, arguments: Sequence[str]) -> list[str]:
    return launch.command("cloche.main", name, *arguments)


def _environment() -> dict[str, str]:
    """Return this process's environment, with the stores that MLflow is set to use here."""
    stores = {
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        "MLFLOW_REGISTRY_URI": mlflow.get_registry_uri(),
    }
    return {**os.environ, **stores}


@contextmanager
def _passing_on(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Forward SIGTERM to the server during the block; its end then ends the wait for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
