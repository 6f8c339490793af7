"""A worker on an executor that runs the version in the version's own environment.

An executor's Python belongs to Spark. A version with another environment therefore runs in a second
process, the same that the local engine starts, which reads, scores and writes whole parts. The
driver has built the environment, and the executor expects it at the same path.
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
    """Scores parts in a second process that runs a `cloche.serving.batch.scoring.worker.Worker`."""

    def __init__(self, job: Job, directory: Path, python: str) -> None:
        """Start a process that loads the version.

        Raises:
            ServingError: The environment is missing, or the version cannot be loaded in it.
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
        self.send_request({"job": job.to_json(), "directory": str(directory)})

    def send_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request of `cloche.serving.batch.spark.part_scheduler`; return the response.

        If a row ends the process, the executor's Python worker ends, too. Spark reports that to the
        driver, which then searches for the row, as for any other version.

        Raises:
            ServingError: The process reported that it cannot continue.
        """
        with suppress(OSError):  # the process has ended
            self._lines.write(json.dumps(request).encode() + b"\n")
            self._lines.flush()
            for line in self._lines:
                answer: dict[str, Any] = json.loads(line)
                if "failed" in answer:
                    raise ServingError(answer["failed"])
                if "doing" not in answer:
                    return answer
        os._exit(1)


def _end(lines: BufferedRWPair, process: Process) -> None:
    """End the process: it ends by itself when its socket is closed, else it is killed."""
    with suppress(OSError):
        lines.close()
    if process.code(_END_SECONDS) is None:
        process.kill()
        process.code(_END_SECONDS)
