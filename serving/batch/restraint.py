"""What to do with a part whose worker died: again, in smaller pieces, without the row that kills.

Pure policy: it starts no processes.
"""

from typing import Any

from cloche.serving.batch.part import Part
from cloche.serving.errors import JobFailed

_PIECES = 8
_MOST_KILLERS = 8


class Case:
    """One part on its way through workers.

    The first death may have had any cause: the part is tried again as it is. After the second the
    model gets fewer rows at once, which is what a lack of memory needs. After the third the rows
    that kill are looked for, half by half.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self._deaths = 0
        self._at_once: int | None = None
        self._without: dict[int, str] = {}
        self._low, self._high = 0, 0  # while searching: a row that kills is in this range
        self._half = 0

    def question(self) -> dict[str, Any]:
        """What a worker is asked next."""
        asked: dict[str, Any] = {"part": self.part.to_json()}
        if self._high:
            return asked | {"try": [self._low, self._half], "without": self._without}
        return asked | {"without": self._without, "at_once": self._at_once}

    def died(self, how: str) -> None:
        """The worker died on the last question.

        Raises:
            JobFailed: The part cannot be saved.
        """
        if self._high - self._low == 1:
            self._without[self._low] = f"scoring it killed the worker ({how})"
            self._low = self._high = 0
            return
        if self._high:
            self._narrow(self._low, self._half)
            return
        self._deaths += 1
        if self._deaths == 2:
            self._at_once = max(1, self._rows() // _PIECES)
        elif self._deaths > 2:
            if len(self._without) >= _MOST_KILLERS:
                raise JobFailed(
                    f"Part {self.part.index} of {self.part.source} killed {self._deaths} workers "
                    f"({how}), also without the {_MOST_KILLERS} rows that do. What was done stays "
                    "done; --resume goes on when there is more memory or the model is mended."
                )
            self._narrow(0, self._rows())

    def survived(self) -> None:
        """The worker scored the rows it was asked to try.

        Raises:
            JobFailed: No single row is to blame.
        """
        if self._high - self._low == 1:
            raise JobFailed(
                f"Part {self.part.index} of {self.part.source} killed {self._deaths} workers, and "
                "none of its rows does so alone. Give the machine more memory or the job fewer "
                "--workers, and go on with --resume."
            )
        self._narrow(self._half, self._high)

    def _rows(self) -> int:
        """At least as many rows as the part has: a record takes a byte or more."""
        return self.part.stop - self.part.start

    def _narrow(self, low: int, high: int) -> None:
        """Look on from one offset to another; a single row is tried once more, alone."""
        self._low, self._high = low, high
        self._half = (low + high) // 2 if high - low > 1 else high
