"""The lock file by which machines recognize a job whose output is in an object store.

It lies beside the output, as `.NAME.cloche.json`, from the beginning to the end of the job, and has
the same bytes as `job.json` of the working directory: the pinned job. A machine that finds it
continues the same job with the same version, so the output is the same whichever machine finishes.

A store has no real locks, so the file stops no job from beginning. It stops a job that was replaced
by another one from marking its output as complete.
"""

from cloche.serving.batch.output.layout import Output
from cloche.serving.batch.output.work_dir import WorkDir
from cloche.serving.errors import JobFailed


class OutputLock:
    """The lock file of one job; not used for a local output, where the kernel has locks."""

    def __init__(self, output: Output, work_dir: WorkDir) -> None:
        self._output, self._work_dir = output, work_dir
        self._name = f".{output.name}.cloche.json"
        self._needed = output.place.shared

    def adopt(self) -> None:
        """Take over the job that another machine began for this output, without its parts."""
        pinned = self._output.place.read(self._name) if self._needed else None
        if pinned is not None and not self._is_ours(pinned):
            self._work_dir.clear()
            self._work_dir.adopt(pinned)

    def take(self) -> None:
        """Write the lock file; this also detects at once a store that cannot be written to.

        Raises:
            JobFailed: The store cannot be written to.
        """
        if not self._needed:
            return
        try:
            self._output.place.put(self._work_dir.pinned, self._name)
        except JobFailed:
            if not self._work_dir.finished():  # without finished parts there is nothing to resume
                self._work_dir.clear()
            raise

    def check(self) -> None:
        """Make sure that the lock file still belongs to this job.

        Raises:
            JobFailed: Another job began or finished for the same output.
        """
        if self._needed and not self._is_ours(self._output.place.read(self._name)):
            raise JobFailed(
                f"{self._output}: another job began or finished there meanwhile. Look which one "
                "is right; if it is this one, begin anew with --overwrite."
            )

    def release(self) -> None:
        """Remove the lock file, because the output is complete."""
        if self._needed and self._is_ours(self._output.place.read(self._name)):
            self._output.place.remove(self._name)

    def _is_ours(self, pinned: bytes | None) -> bool:
        return self._work_dir.begun and pinned == self._work_dir.pinned.read_bytes()
