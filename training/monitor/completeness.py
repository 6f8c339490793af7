"""Which days have labels enough to be judged, by what older days had."""

from collections.abc import Sequence
from statistics import median_low

from cloche.training.monitor.logged_days import LoggedDay

_MOSTLY = 0.9  # of the share of rows that usually get a label
_HALF = 0.5  # share of the rows that a day needs if there are no older ones


def unfinished_days(days: Sequence[LoggedDay]) -> dict[int, str]:
    """Return the days whose labels have mostly not arrived, each with a sentence for people.

    A day is unfinished as long as the share of its rows that have a label is below nine tenths of
    what the older days have (their median); the first day, until half of its rows have one. The
    labels that come first are not a fair sample of all, so an unfinished day is judged by nothing.
    It is late if the older days had nine tenths of their labels at its age.
    """
    newest = max((one.day for one in days), default=0)
    found = {}
    for at, one in enumerate(days):
        older = days[:at]
        usual = median_low([other.coverage for other in older]) if older else _HALF / _MOSTLY
        if one.coverage >= _MOSTLY * usual and one.labelled:
            continue
        lags = [other.lag for other in older if other.lag is not None]
        late = bool(lags) and newest - one.day > max(lags)
        had = f"{one.coverage:.0%} of its rows have a label; older days have {usual:.0%}"
        found[one.day] = f"late: {had} and had them at that age" if late else had
    return found
