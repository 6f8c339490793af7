"""The programs that `cloche up` starts, waits for, watches and stops together."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import requests

from cloche.serving.errors import SettingsError
from cloche.serving.web.sockets import listen
from cloche.up.errors import ServiceError

STOP_SECONDS = 10


class Service:
    """A program in a process group of its own: only `cloche up` gets Ctrl-C, and stops the group.

    Args:
        name: The name of the program in messages.
        command: The program and its arguments.
        health_url: The address that answers 200 when the program is ready.
        log: The file for the output of the program.
        environment: The environment variables of the program.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        health_url: str,
        log: Path,
        environment: dict[str, str],
    ) -> None:
        self.name = name
        self.health_url = health_url
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 (our own command)
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def wait_until_ready(self, seconds: float) -> None:
        """Return when the program answers.

        Raises:
            ServiceError: The program ended, or the timeout passed; the message has its last lines.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check_running()
            try:
                if requests.get(self.health_url, timeout=2).ok:
                    return
            except requests.RequestException:
                pass  # the program does not listen yet
            time.sleep(0.1)
        raise ServiceError(
            f"{self.name} did not answer within {seconds:g} s.\n{self._last_lines()}"
        )

    def check_running(self) -> None:
        """Raise `ServiceError` if the program has ended."""
        code = self._process.poll()
        if code is not None:
            raise ServiceError(f"{self.name} ended with code {code}.\n{self._last_lines()}")

    def stop(self) -> None:
        """End the program and all processes that it started, by SIGTERM and then by SIGKILL."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        # Sent even if the program has ended: child processes that outlive it are in its group.
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # all processes of the group have ended
            os.killpg(self._process.pid, number)

    def _last_lines(self, count: int = 15) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
        return "Its last lines:\n" + "\n".join(f"  {line}" for line in lines)


def mlflow_environment() -> dict[str, str]:
    """Return the variables for programs of MLflow, which start `uvicorn` and `python` by name.

    These must be the programs beside this interpreter, and must not import a user's modules.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    ours = {name: value for name, value in server_environment().items() if name != "PYTHONPATH"}
    # uvicorn imports from the working directory even so, unless it gets another folder.
    return {**ours, "PATH": path, "PYTHONSAFEPATH": "1", "UVICORN_APP_DIR": sys.prefix}


def server_environment() -> dict[str, str]:
    """Return the variables for Cloche's server.

    The spin count of this process, which fits models, is removed: it does not suit a server.
    """
    return {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}


def wait_for_exit(services: Sequence[Service]) -> None:
    """Wait until a service ends, and raise `ServiceError`."""
    while True:
        for service in services:
            service.check_running()
        time.sleep(0.5)


def free_ports(host: str, ports: Mapping[str, int]) -> list[int]:
    """Return ports that are free together; 0 stands for any free one.

    Args:
        host: The address to listen on.
        ports: The ports, by the options that name them.

    Raises:
        ServiceError: Nothing can listen on a port; the message names its option.
    """
    try:
        with ExitStack() as held:
            return [
                held.enter_context(listen(host, port, option)).getsockname()[1]
                for option, port in ports.items()
            ]
    except SettingsError as error:
        raise ServiceError(str(error)) from error
