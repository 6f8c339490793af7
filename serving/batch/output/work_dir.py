"""The working directory of a job, with its lock, the pinned job and the journal of finished parts.

The directory lies beside a local output, so that a rename publishes the finished files; for an
output in an object store it lies in the cache directory. It holds `job.json`, written once, and
`journal.jsonl` with one line per finished part. A part is finished when its line is on the disk.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloche.serving.batch.job.part import FinishedPart, PartFile
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.storage import atomic_write
from cloche.serving.errors import RESUME, JobFailed, JobRefused


class WorkDir:
    """The working directory of one job. Create it with `locked_work_dir`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.parts = directory / "parts"
        self.spool = directory / "spool"
        self.ready = directory / "ready"
        self.pinned = directory / "job.json"

    @property
    def begun(self) -> bool:
        """Whether a job began in this directory."""
        return self.pinned.exists()

    def begin(self, job: Job, notes: dict[str, Any]) -> None:
        """Pin a job; `notes` is data that does not affect the output, like its MLflow run."""
        self.adopt(json.dumps({"job": job.to_json(), "notes": notes}, indent=1).encode())

    def adopt(self, pinned: bytes) -> None:
        """Pin a job, given the content of its `job.json`, which may be from another machine."""
        for place in (self.parts, self.spool, self.ready):
            place.mkdir(exist_ok=True)
        atomic_write.write(self.pinned, pinned)

    def job(self) -> tuple[Job, dict[str, Any]]:
        """Return the pinned job and its notes."""
        content = json.loads(self.pinned.read_text())
        return Job.from_json(content["job"]), content["notes"]

    def clear(self) -> None:
        """Delete everything but the lock."""
        for place in self.directory.iterdir():
            if place.name == "lock":
                continue
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()

    def finished(self) -> dict[int, FinishedPart]:
        """Return the parts whose journal line and files are complete, by index."""
        found = {}
        for part in self._journal():
            files = [file for file in (part.data, part.quarantine) if file is not None]
            if all(self._is_complete(file) for file in files):
                found[part.index] = part
        return found

    def record(self, part: FinishedPart) -> None:
        """Append a finished part to the journal.

        Raises:
            JobFailed: The journal cannot be written.
        """
        try:
            with (self.directory / "journal.jsonl").open("ab") as journal:
                journal.write(json.dumps(part.to_json()).encode() + b"\n")
                journal.flush()
                os.fsync(journal.fileno())
        except OSError as error:
            raise JobFailed(
                f"{self.directory}: cannot be written: {error.strerror}. {RESUME}"
            ) from error

    def drop_partial_line(self) -> None:
        """Remove an incomplete last line of the journal, so that the next one is whole."""
        journal = self.directory / "journal.jsonl"
        if journal.exists():
            content = journal.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                atomic_write.write(journal, whole)

    def remove(self) -> None:
        """Remove the working directory, because the output is complete."""
        shutil.rmtree(self.directory)
        atomic_write.sync(self.directory.parent)

    def _journal(self) -> Iterator[FinishedPart]:
        journal = self.directory / "journal.jsonl"
        if not journal.exists():
            return
        for line in journal.read_bytes().split(b"\n"):
            try:
                yield FinishedPart.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue  # a crash truncated this line, so only this part is lost

    def _is_complete(self, file: PartFile) -> bool:
        place = self.parts / file.name
        return place.exists() and place.stat().st_size == file.size


@contextmanager
def locked_work_dir(directory: Path, output: str) -> Iterator[WorkDir]:
    """Create and lock the working directory for an output; one job of this machine may hold it.

    The kernel releases the lock when the process that holds it ends in any way. The lock file
    contains the id of that process.

    Raises:
        JobRefused: Another job is writing this output.
        JobFailed: The directory cannot be created.
    """
    while True:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (directory / "lock").open("a+")
        except FileNotFoundError:
            continue  # another job finished between the two lines, and removed the directory
        except OSError as error:
            raise JobFailed(f"{directory}: cannot be made: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise JobRefused(
                    f"{output}: process {lock.read().strip() or 'of another job'} is writing it. "
                    "Wait for it, or write elsewhere."
                ) from None
            if not _same(lock.fileno(), directory / "lock"):
                continue  # another job removed its directory with the lock file opened here
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            work_dir = WorkDir(directory)
            try:
                yield work_dir
            finally:
                if not work_dir.begun:
                    shutil.rmtree(directory, ignore_errors=True)
            return


def _same(handle: int, place: Path) -> bool:
    try:
        return os.fstat(handle).st_ino == place.stat().st_ino
    except FileNotFoundError:
        return False
