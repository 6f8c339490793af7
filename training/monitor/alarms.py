"""What the checks found on single days, and the alarms that are made of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Any

from cloche.training.monitor.logged_days import moment

_APART = 3  # days without an exceedance after which another alarm begins
_OPEN = 3  # an alarm is open while one of so many last judged days has an exceedance


@dataclass(frozen=True)
class Exceedance:
    """A number beyond its limit on one day.

    Attributes:
        check: Name of the check, one of `limits.CHECKS`.
        subject: The column, score, slice or metric.
        version: Number of the version.
        day: Days since 1970; the last day of a window.
        excess: The number as a part of its limit, above 1.
        says: What was found, and what is usual; without the day.
        advice: What to do; the same for all exceedances that are one alarm.
    """

    check: str
    subject: str
    version: str
    day: int
    excess: float
    says: str
    advice: str


@dataclass(frozen=True)
class Alarm:
    """Exceedances of one check on consecutive days, as people are told of them.

    Attributes:
        subjects: What is wrong, the worst first.
        days: Days since 1970 with an exceedance.
        says: The worst exceedance of each subject, with its day.
        is_open: Whether it goes on: the version still answers, and one of its last judged days has
            an exceedance.
        explained: Where a fall comes from; empty if it was not split.
    """

    check: str
    version: str
    subjects: tuple[str, ...]
    days: tuple[int, ...]
    says: tuple[str, ...]
    advice: str
    is_open: bool = False
    explained: str = ""

    @property
    def text(self) -> str:
        """The alarm in one line."""
        parts = [
            f"version {self.version}, {', '.join(self.subjects)}: {'; '.join(self.says)}",
            capitalized(self.explained), capitalized(self.advice),
        ]  # fmt: skip
        return ". ".join(part for part in parts if part) + "."

    def as_document(self) -> dict[str, Any]:
        """Return the alarm as plain values."""
        return {
            "check": self.check, "version": self.version, "subjects": list(self.subjects),
            "first_day": day_text(self.days[0]), "last_day": day_text(self.days[-1]),
            "days": [day_text(day) for day in self.days], "says": list(self.says),
            "advice": self.advice, "explained": self.explained, "open": self.is_open,
            "text": self.text,
        }  # fmt: skip


def capitalized(text: str) -> str:
    """Return a text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def day_text(day: int) -> str:
    """Return a day, given as days since 1970, as an ISO date."""
    return date.isoformat(moment(day).date())


def alarms_of(
    exceedances: Iterable[Exceedance],
    judged: Mapping[tuple[str, str], list[int]],
    last: Mapping[str, int],
) -> list[Alarm]:
    """Put exceedances together: subjects of one check that begin on the same day are one alarm.

    Args:
        exceedances: The exceedances of all versions.
        judged: Check and version → the days that were judged, in order.
        last: Version → the last day on which it answered.
    """
    by_subject = defaultdict[tuple[str, str, str, str], list[Exceedance]](list)
    for one in sorted(exceedances, key=lambda one: one.day):
        by_subject[one.check, one.version, one.advice, one.subject].append(one)
    together = defaultdict[tuple[str, str, str, int], list[list[Exceedance]]](list)
    for (check, version, advice, _), found in by_subject.items():
        for episode in _episodes(found):
            together[check, version, advice, episode[0].day].append(episode)
    alarms = [_alarm(episodes) for episodes in together.values()]
    newest = max(last.values(), default=0)
    return sorted(
        (
            replace(
                alarm,
                is_open=last[alarm.version] == newest
                and alarm.days[-1] >= judged[alarm.check, alarm.version][-_OPEN:][0],
            )
            for alarm in alarms
        ),
        key=lambda alarm: (not alarm.is_open, alarm.days[0], alarm.check, alarm.subjects),
    )


def _episodes(found: list[Exceedance]) -> list[list[Exceedance]]:
    ends = [at for at, (a, b) in enumerate(pairwise(found), 1) if b.day - a.day > _APART]
    return [found[begin:end] for begin, end in pairwise([0, *ends, len(found)])]


def _alarm(episodes: list[list[Exceedance]]) -> Alarm:
    worst = [max(episode, key=lambda one: one.excess) for episode in episodes]
    worst.sort(key=lambda one: -one.excess)
    days = sorted({one.day for episode in episodes for one in episode})
    return Alarm(
        worst[0].check, worst[0].version, tuple(one.subject for one in worst), tuple(days),
        tuple(f"{one.says} on {day_text(one.day)}" for one in worst), worst[0].advice,
    )  # fmt: skip
