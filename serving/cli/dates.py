"""The day of a batch job (`--date`), and its placeholder `{date}` in paths and queries."""

import re
from datetime import date, datetime, timedelta

from cloche.serving.errors import SettingsError

_BACK = {"today": 0, "yesterday": 1}
_PLACE = re.compile(r"\{date(?::([^{}]+))?\}")  # other braces belong to the query


def day_of(text: str, now: datetime) -> date:
    """Parse the value of `--date`.

    Args:
        text: A date like 2013-11-01, or `today` or `yesterday`.
        now: The current local time.

    Raises:
        SettingsError: `text` is none of these.
    """
    if text in _BACK:
        return now.date() - timedelta(days=_BACK[text])
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 (only the day is used)
    except ValueError as error:
        raise SettingsError(
            f"--date {text}: give a day like 2013-11-01, or yesterday, or today."
        ) from error


def fill_date(text: str, day: date) -> str:
    """Replace each `{date}` in `text` by the day; `{date:%Y/%m}` gives its format to strftime."""
    return _PLACE.sub(lambda place: day.strftime(place[1] or "%Y-%m-%d"), text)


def has_date(text: str) -> bool:
    """Whether `text` contains a placeholder `{date}`."""
    return _PLACE.search(text) is not None
