"""What to do with a part whose worker died or hung: again, in smaller pieces, without the row.

Pure policy: it starts no processes.
"""

from dataclasses import dataclass
from typing import Any

from cloche.serving.batch.job.part import Part
from cloche.serving.errors import JobFailed

_PIECES = 8
_MOST_KILLERS = 8


@dataclass(frozen=True, slots=True)
class WorkerDeath:
    """How a worker came to its end with a part.

    Attributes:
        how: As a person says it, like `killed by signal 9`.
        reason: What the quarantine says of a row that does this; empty for the usual words.
        rows: From which row of the part to which the model was asked then; None if nobody knows,
            or it was not asked.
        again: Whether the same may well succeed when it is tried again.
    """

    how: str
    reason: str = ""
    rows: tuple[int, int] | None = None
    again: bool = True

    def __str__(self) -> str:
        """The reason for the quarantine."""
        return self.reason or f"scoring it killed the worker ({self.how})"


class PartRetry:
    """One part on its way through workers.

    The first death may have had any cause: the part is tried again as it is. After the second the
    model gets fewer rows at once, which is what a lack of memory or of time needs. After the third
    the rows that kill are looked for, half by half, among those that it was asked about last. If
    none does so alone, the model gets half as many at once as killed it.

    Attributes:
        part: The part.
        at_once: Most rows that the model gets together; None for all.
        hung: Whether the model had no time for as many as it was given.
    """

    def __init__(self, part: Part, at_once: int | None = None) -> None:
        """Take a part, and the most rows that the model may get at once, if that is known."""
        self.part = part
        self.at_once = at_once
        self.hung = False
        self._deaths = 0
        self._without: dict[int, str] = {}
        self._low, self._high = 0, 0  # while searching: a row that kills is in this range
        self._half = 0
        self._fewest = self._rows()  # rows that killed a worker together

    @property
    def without(self) -> int:
        """How many rows are left out, because they kill."""
        return len(self._without)

    def request(self) -> dict[str, Any]:
        """What a worker is asked next."""
        asked: dict[str, Any] = {"part": self.part.to_json()}
        if self._high:
            return asked | {"try": [self._low, self._half], "without": self._without}
        return asked | {"without": self._without, "at_once": self.at_once}

    def died(self, death: WorkerDeath) -> None:
        """The worker died on the last question, or was ended because it hung.

        Raises:
            JobFailed: The part cannot be saved.
        """
        self._deaths += 1 if death.again or self._deaths else 2
        self.hung = self.hung or not death.again
        asked = (self._low, self._half) if self._high else (0, self._rows())
        low, high = death.rows or asked
        self._fewest = min(self._fewest, high - low)
        if self._high - self._low == 1:
            self._without[self._low] = str(death)
            self._low = self._high = 0
        elif self._high:
            self._narrow(low, high)
        elif self._deaths == 2:
            self.at_once = max(1, min(self.at_once or self._fewest, self._fewest) // _PIECES)
        elif self._deaths > 2:
            if len(self._without) >= _MOST_KILLERS:
                raise self._hopeless(death, f"also without the {_MOST_KILLERS} rows that do")
            self._narrow(low, high)

    def survived(self) -> None:
        """The worker scored the rows it was asked to try.

        Raises:
            JobFailed: No single row is to blame, and the model gets single rows already.
        """
        if self._high - self._low > 1:
            self._narrow(self._half, self._high)
            return
        self._low = self._high = 0
        if self._fewest == 1:
            raise self._hopeless(WorkerDeath("in the end"), "and none of its rows does so alone")
        self._fewest //= 2
        self.at_once = self._fewest

    def _hopeless(self, death: WorkerDeath, why: str) -> JobFailed:
        return JobFailed(
            f"Part {self.part.index} of {self.part.source} killed {self._deaths} workers "
            f"({death.how}), {why}. What was done stays done; --resume goes on when there is more "
            "memory, the job has fewer --workers, or the model is mended."
        )

    def _rows(self) -> int:
        """At least as many rows as the part has: a record takes a byte or more."""
        return self.part.stop - self.part.start

    def _narrow(self, low: int, high: int) -> None:
        """Look on from one offset to another; a single row is tried once more, alone."""
        self._low, self._high = low, high
        self._half = (low + high) // 2 if high - low > 1 else high
