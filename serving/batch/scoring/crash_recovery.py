"""Retries a part whose worker died or hung: unchanged, with fewer rows at once, without a row.

Pure policy: this module starts no processes.
"""

from dataclasses import dataclass
from typing import Any

from cloche.processes.machine_limits import more_memory
from cloche.serving.batch.job.part import Part
from cloche.serving.errors import RESUME, JobFailed

_SPLIT = 8
_MAX_EXCLUDED = 8


@dataclass(frozen=True, slots=True)
class WorkerDeath:
    """The death of a worker while it worked on a part.

    Attributes:
        how: The cause for messages, like `killed by signal 9`.
        reason: The reason in the quarantine for a row that causes this; empty for the default.
        rows: The range of rows of the part in the model's current call; None if unknown or if the
            model was not called.
        again: Whether an unchanged retry may succeed.
    """

    how: str
    reason: str = ""
    rows: tuple[int, int] | None = None
    again: bool = True

    def __str__(self) -> str:
        """The reason for the quarantine."""
        return self.reason or f"scoring it killed the worker ({self.how})"


class PartRetry:
    """The state of one part over all attempts to score it.

    The first death may have had any cause, so the part is retried unchanged. After the second death
    the model gets fewer rows per call, which helps if memory or time was short. After the third, a
    binary search over the rows of the last call looks for the rows that kill workers. If no row
    does so alone, the model gets half as many rows per call as killed it.

    Attributes:
        rows_per_call: The maximum number of rows per call of the model; None for all.
        hung: Whether a call of the model exceeded its timeout.
    """

    def __init__(self, part: Part, rows_per_call: int | None = None) -> None:
        """Start with a part, and the maximum number of rows per call of the model, if known."""
        self.part = part
        self.rows_per_call = rows_per_call
        self.hung = False
        self._deaths = 0
        self._excluded: dict[int, str] = {}
        self._low, self._high = 0, 0  # during the search: the range that contains a killing row
        self._tried_until = 0
        self._fewest_killing = (
            self._rows()
        )  # the smallest number of rows that killed a worker together

    @property
    def excluded_rows(self) -> int:
        """The number of rows that are left out because they kill workers."""
        return len(self._excluded)

    def request(self) -> dict[str, Any]:
        """Return the next request to a worker."""
        request: dict[str, Any] = {"part": self.part.to_json()}
        if self._high:
            return request | {"try": [self._low, self._tried_until], "without": self._excluded}
        return request | {"without": self._excluded, "rows_per_call": self.rows_per_call}

    def died(self, death: WorkerDeath) -> None:
        """Decide on the next attempt after a worker died, or was ended because it hung.

        Raises:
            JobFailed: The part cannot be scored.
        """
        self._deaths += 1 if death.again or self._deaths else 2
        self.hung = self.hung or not death.again
        request = (self._low, self._tried_until) if self._high else (0, self._rows())
        low, high = death.rows or request
        self._fewest_killing = min(self._fewest_killing, high - low)
        if self._high - self._low == 1:
            self._excluded[self._low] = str(death)
            self._low = self._high = 0
        elif self._high:
            self._narrow(low, high)
        elif self._deaths == 2:
            self.rows_per_call = max(
                1, min(self.rows_per_call or self._fewest_killing, self._fewest_killing) // _SPLIT
            )
        elif self._deaths > 2:
            if len(self._excluded) >= _MAX_EXCLUDED:
                raise self._hopeless(death, f"also without the {_MAX_EXCLUDED} rows that do")
            self._narrow(low, high)

    def survived(self) -> None:
        """Decide on the next attempt after a worker survived the rows that it tried.

        Raises:
            JobFailed: No row kills workers alone, and the model gets single rows already.
        """
        if self._high - self._low > 1:
            self._narrow(self._tried_until, self._high)
            return
        self._low = self._high = 0
        if self._fewest_killing == 1:
            raise self._hopeless(WorkerDeath("in the end"), "and none of its rows does so alone")
        self._fewest_killing //= 2
        self.rows_per_call = self._fewest_killing

    def _hopeless(self, death: WorkerDeath, why: str) -> JobFailed:
        return JobFailed(
            f"Part {self.part.index} of {self.part.source} killed {self._deaths} workers "
            f"({death.how}), {why}. Where memory ran out, {more_memory()}, or give fewer "
            "--workers; where the model or its rows are mended, begin anew with "
            f"--overwrite. {RESUME}"
        )

    def _rows(self) -> int:
        """Return an upper bound of the part's rows: a record has at least one byte."""
        return self.part.stop - self.part.start

    def _narrow(self, low: int, high: int) -> None:
        """Search in this range of offsets; a single row is tried once more, alone."""
        self._low, self._high = low, high
        self._tried_until = (low + high) // 2 if high - low > 1 else high
