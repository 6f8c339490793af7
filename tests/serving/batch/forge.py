"""Starts `cloche score` many times quickly: it imports everything once, then forks for each job.

Reads lines of JSON, the arguments and the path of a log, from standard input; answers with the
process id of the job, which leads a group of its own, and, when that has ended, with its exit code.
The process that workers are forks of is forked as well. Otherwise they are what the command starts:
processes that a signal ends anywhere.
"""

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc  # noqa: F401  # what takes seconds is done before anything is forked

from cloche.main import main
from cloche.serving.forkserver import __main__ as forkserver
from cloche.serving.forkserver import client


class Forked:
    """A fork server that was forked: what its client needs of `subprocess.Popen`."""

    def __init__(
        self, command: list[str], *, pass_fds: tuple[int], env: dict[str, str], **_: Any
    ) -> None:
        self._pid = os.fork()
        if self._pid == 0:
            (kept,) = pass_fds
            os.closerange(3, kept)  # above all the job's lock
            os.closerange(kept + 1, 1024)
            os.environ.update(env)
            sys.argv = command[-3:]
            forkserver.main()

    def kill(self) -> None:
        os.kill(self._pid, 9)

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, time_limit: float | None = None) -> int:
        ended = os.pidfd_open(self._pid)
        if not select.select([ended], [], [], time_limit)[0]:
            raise subprocess.TimeoutExpired("the fork server", time_limit or 0)
        os.close(ended)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def job(arguments: list[str]) -> None:
    os.setsid()
    log = os.open(Path(arguments[-1]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    client.subprocess.Popen = Forked  # type: ignore[assignment, misc]
    try:
        main(["score", *arguments[:-1]])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def serve() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                job(json.loads(line))
            except SystemExit as end:
                os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
            os._exit(0)
        print(pid, flush=True)  # noqa: T201  # the answer
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    serve()
