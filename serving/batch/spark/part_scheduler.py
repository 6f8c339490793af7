"""Decides which parts Spark scores next: many together, or one alone after its job failed.

Pure policy: this module does not use Spark. At first a part "flows": its rows pass through Spark to
the model. If they cannot (the signature leaves types open, or Spark would change a value), one
executor reads, scores and writes the whole part. If a task dies, each part of its job is retried
alone as a `PartRetry`, so that a row that kills workers ends in quarantine as with other engines.
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
    """The parts of one Spark job.

    Attributes:
        cases: The parts with the state of their attempts.
        flowing: Whether the rows pass through Spark; if not, executors finish whole parts.
        alone: Whether the only part is retried after its job failed.
    """

    cases: list[PartRetry]
    flowing: bool
    alone: bool = False

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests for the parts, in their order."""
        if self.flowing:
            return [{"flow": True, "part": case.part.to_json()} for case in self.cases]
        return [case.request() for case in self.cases]


class PartScheduler:
    """Schedules the parts of a job, including those that must be scored again."""

    def __init__(self, parts: Iterator[Part], *, flowing: bool) -> None:
        self._unscheduled = parts
        self._flowing = flowing
        self._for_whole_scoring: deque[PartRetry] = deque()
        self._alone: deque[PartRetry] = deque()

    def next(self, most: int) -> ScheduledParts | None:
        """Return the next Spark job, with at most `most` parts; None if no part waits now."""
        if self._alone:
            return ScheduledParts([self._alone.popleft()], flowing=False, alone=True)
        if self._for_whole_scoring:
            count = min(most, len(self._for_whole_scoring))
            return ScheduledParts(
                [self._for_whole_scoring.popleft() for _ in range(count)], flowing=False
            )
        cases = [PartRetry(part) for part in islice(self._unscheduled, most)]
        return ScheduledParts(cases, flowing=self._flowing) if cases else None

    def answered(
        self, asked: ScheduledParts, answers: list[dict[str, Any]]
    ) -> Iterator[FinishedPart]:
        """Process the responses of a Spark job, and yield the finished parts.

        Raises:
            JobFailed: An executor reported that it cannot continue.
        """
        for case, answer in zip(asked.cases, answers, strict=True):
            if "finished" in answer:
                yield FinishedPart.from_json(answer["finished"])
            elif "unfit" in answer:
                self._for_whole_scoring.append(case)
            elif "survived" in answer:
                case.survived()
                self._alone.append(case)
            else:
                raise JobFailed(answer["failed"])

    def died(self, asked: ScheduledParts, how: str) -> None:
        """Schedule the parts of a failed Spark job to be retried alone.

        Raises:
            JobFailed: A part cannot be scored.
        """
        if asked.alone:
            asked.cases[0].died(WorkerDeath(how))
        self._alone.extend(asked.cases)
