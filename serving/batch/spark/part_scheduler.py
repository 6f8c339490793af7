"""What Spark is asked next: many parts together, and alone those whose job failed.

Pure policy: it knows nothing of Spark. A part flows first: its rows go through Spark to the model.
Where they cannot (the signature leaves columns open, a value would not survive the way), the part
is finished whole by one executor. Parts that were asked together when a task died are asked again
alone, each as a `PartRetry`, so that a row that kills workers ends in quarantine as anywhere else.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.scoring.crash_recovery import PartRetry, WorkerDeath
from cloche.serving.errors import JobFailed


@dataclass(frozen=True, slots=True)
class ScheduledParts:
    """Parts that Spark is asked about in one job."""

    cases: list[PartRetry]
    flowing: bool
    alone: bool = False

    def questions(self) -> list[dict[str, Any]]:
        """What is asked, in their order."""
        if self.flowing:
            return [{"flow": True, "part": case.part.to_json()} for case in self.cases]
        return [case.request() for case in self.cases]


class PartScheduler:
    """The parts that are not finished."""

    def __init__(self, parts: Iterator[Part], *, flowing: bool) -> None:
        self._fresh = parts
        self._flowing = flowing
        self._whole: deque[PartRetry] = deque()
        self._alone: deque[PartRetry] = deque()

    def next(self, most: int) -> ScheduledParts | None:
        """What to ask about next, at most so many parts; None if nothing is left to ask now."""
        if self._alone:
            return ScheduledParts([self._alone.popleft()], flowing=False, alone=True)
        if self._whole:
            count = min(most, len(self._whole))
            return ScheduledParts([self._whole.popleft() for _ in range(count)], flowing=False)
        cases = [PartRetry(part) for part in islice(self._fresh, most)]
        return ScheduledParts(cases, flowing=self._flowing) if cases else None

    def answered(
        self, asked: ScheduledParts, answers: list[dict[str, Any]]
    ) -> Iterator[FinishedPart]:
        """Take the answers; the parts that are finished.

        Raises:
            JobFailed: An executor says that it cannot go on.
        """
        for case, answer in zip(asked.cases, answers, strict=True):
            if "finished" in answer:
                yield FinishedPart.from_json(answer["finished"])
            elif "unfit" in answer:
                self._whole.append(case)
            elif "survived" in answer:
                case.survived()
                self._alone.append(case)
            else:
                raise JobFailed(answer["failed"])

    def died(self, asked: ScheduledParts, how: str) -> None:
        """Go on after a job that failed in Spark, whatever the reason was.

        Raises:
            JobFailed: A part cannot be saved.
        """
        if asked.alone:
            asked.cases[0].died(WorkerDeath(how))
        self._alone.extend(asked.cases)
