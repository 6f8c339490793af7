"""Which day a job is for, and where it is named: `{date}` in paths and queries."""

import re
from datetime import date, datetime, timedelta

from cloche.serving.errors import SettingsError

_BACK = {"today": 0, "yesterday": 1}
_PLACE = re.compile(r"\{date(?::([^{}]+))?\}")  # other braces are the query's own


def day_of(text: str, now: datetime) -> date:
    """The day that a person means; `now` is the time where they are.

    Raises:
        SettingsError: It is no day.
    """
    if text in _BACK:
        return now.date() - timedelta(days=_BACK[text])
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 (only the day is used)
    except ValueError as error:
        raise SettingsError(
            f"--date {text}: give a day like 2013-11-01, or yesterday, or today."
        ) from error


def filled(text: str, day: date) -> str:
    """`text` with the day for each `{date}`, and written as asked for each `{date:%Y/%m}`."""
    return _PLACE.sub(lambda place: day.strftime(place[1] or "%Y-%m-%d"), text)


def names_day(text: str) -> bool:
    """Whether `text` has a `{date}`."""
    return _PLACE.search(text) is not None
