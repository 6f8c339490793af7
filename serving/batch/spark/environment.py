"""A worker on an executor that runs the version in an environment of its own.

The Python of an executor belongs to Spark. So a version that has another environment runs in a
process beside it, the same that the local engine starts, which reads, scores and writes whole parts
by itself. The environment was built by the driver, and is looked for at the same path here.
"""

import json
import os
import socket
import weakref
from contextlib import suppress
from io import BufferedRWPair
from pathlib import Path
from typing import Any

from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.scoring.worker_start import Process, SpawnStarter
from cloche.serving.errors import ServingError

_END_SECONDS = 5.0


class EnvironmentWorker:
    """Answers questions about parts, as `cloche.serving.batch.scoring.worker.Worker` does."""

    def __init__(self, job: Job, directory: Path, python: str) -> None:
        """Start a process that loads the version.

        Args:
            job: What is scored.
            directory: Where the files of parts are left.
            python: The interpreter of the environment.

        Raises:
            ServingError: The environment is not here, or the version cannot be loaded in it.
        """
        if not Path(python).exists():
            raise ServingError(
                f"{python} is not on this executor of Spark: --cache-dir, in which --env-manager "
                "builds environments, must lie where all machines see the same files, and the "
                "Python that they are made of must be installed on each."
            )
        ours, theirs = socket.socketpair()
        with theirs:
            process = SpawnStarter(os.environ, python).start(theirs)
        with ours:
            self._lines = ours.makefile("rwb")
        weakref.finalize(self, _end, self._lines, process)
        self.ask({"job": job.to_json(), "directory": str(directory)})

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question of `cloche.serving.batch.spark.part_scheduler`.

        A row that ends the process ends the executor's Python worker as well, which Spark tells the
        driver: there the search for that row begins, as for any other version.

        Raises:
            ServingError: The process says that it cannot go on.
        """
        with suppress(OSError):  # the process is gone
            self._lines.write(json.dumps(question).encode() + b"\n")
            self._lines.flush()
            for line in self._lines:
                answer: dict[str, Any] = json.loads(line)
                if "failed" in answer:
                    raise ServingError(answer["failed"])
                if "doing" not in answer:
                    return answer
        os._exit(1)


def _end(lines: BufferedRWPair, process: Process) -> None:
    """Have the process end, which it does when nobody can ask it any more."""
    with suppress(OSError):
        lines.close()
    if process.code(_END_SECONDS) is None:
        process.kill()
        process.code(_END_SECONDS)
