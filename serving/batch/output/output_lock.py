"""The note by which a job in an object store is known to machines that do not see each other.

It lies beside the output, as `.NAME.cloche.json`, from the beginning to the end of the job, and is
the job as it was pinned, the same bytes as `job.json` of the working directory. A machine that
finds it goes on with the very same job: the same version, and so the same output, whichever of them
finishes it.

A store has no locks, so this keeps nobody from beginning; it keeps a job that another one replaced
from calling its output complete.
"""

from cloche.serving.batch.output.layout import Output
from cloche.serving.batch.output.work_dir import WorkDir
from cloche.serving.errors import JobFailed


class OutputLock:
    """The note of one job; none for an output on this machine, where the kernel has locks."""

    def __init__(self, output: Output, manifest: WorkDir) -> None:
        self._output, self._manifest = output, manifest
        self._name = f".{output.name}.cloche.json"
        self._needed = output.place.shared

    def adopt(self) -> None:
        """Make the job that another machine began there that of this one, without its parts."""
        pinned = self._output.place.read(self._name) if self._needed else None
        if pinned is not None and not self._is_ours(pinned):
            self._manifest.clear()
            self._manifest.adopt(pinned)

    def take(self) -> None:
        """Leave the note there, so that a store that cannot be written to is known at once.

        Raises:
            JobFailed: It cannot be written to.
        """
        if not self._needed:
            return
        try:
            self._output.place.put(self._manifest.pinned, self._name)
        except JobFailed:
            if not self._manifest.finished():  # nothing to go on with when it can be written to
                self._manifest.clear()
            raise

    def check(self) -> None:
        """Make sure that the note is still ours.

        Raises:
            JobFailed: Another job began or finished there.
        """
        if self._needed and not self._is_ours(self._output.place.read(self._name)):
            raise JobFailed(
                f"{self._output}: another job began or finished there meanwhile. Look which one "
                "is right, and score it again: what is finished is left as it is."
            )

    def leave(self) -> None:
        """Take the note away: the output is complete."""
        if self._needed and self._is_ours(self._output.place.read(self._name)):
            self._output.place.remove(self._name)

    def _is_ours(self, pinned: bytes | None) -> bool:
        return self._manifest.begun and pinned == self._manifest.pinned.read_bytes()
