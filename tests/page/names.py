"""What the models of the page hold, for those who cook and for those who look."""

from typing import Any

FLIGHTS, COMMENTS = "<i>flights", "comments"
HTML = "<img src=x onerror=window.broken=1>"
INHERITED = ("constructor", "toString", "__proto__", "elements")
ODD = 'it\'s "far" <i>'
PROFILE: dict[str, Any] = {
    "schema": 1,
    "columns": {
        "carrier": {"role": "categorical", "counts": {"UA": 5, "B6": 3, HTML: 1}, "other": 0},
        "destination": {"role": "categorical", "counts": {"IAH": 5, "MIA": 3}, "other": 40},
        ODD: {"role": "numeric", "quantiles": {"0.01": 80.0, "0.99": 2500.0}},
        "remark": {"role": "text"},
    },
}
EVIDENCE: dict[str, Any] = {
    "judged_at": "2026-11-24T17:20:05+00:00",
    "holdout": {"rows": 55_628},
    "metric": "roc_auc",
    "scores": {"roc_auc": 0.7371},
    "verdicts": [
        {"name": f"minimum {HTML}", "required": "at least 0.7", "measured": "0.7371",
         "result": "passed", "sentence": "It is good enough."},
    ],
}  # fmt: skip


def day(number: int, value: float | None, **changes: Any) -> dict[str, Any]:
    """A day of November with ten thousand rows, all with labels unless `changes` say otherwise."""
    ends = {"low": None, "high": None} if value is None else {"low": value - 0.02, "high": 0.8}
    return {"day": f"2026-11-{number:02}", "rows": 10_000, "labelled": 1.0, "unfinished": False,
            "alarm": False, "value": value, **ends, **changes}  # fmt: skip


_USUAL = {"low": 0.58, "high": 0.78, "of_days": True}
MONITOR: dict[str, Any] = {
    "last_day": "2026-11-12", "alarms": 2, "text": "2 alarms.", "run_id": "0123456789abcdef",
    "link": "http://host:1/#/experiments/7/runs/0123456789abcdef", "first_day": "2026-11-08",
    "alarm": {"first_day": "2026-11-11", "text": f"{HTML}roc_auc is 0.41, usually 0.68."},
    "last_alarm_day": "2026-11-11",
    "versions": [
        {"version": "1", "metric": "roc_auc", "usual": _USUAL, "drift_day": "2026-11-09",
         "days": [day(8, 0.71), day(9, 0.69)], "drift": [], "more_drift": 0},
        {"version": "2", "metric": "roc_auc", "usual": _USUAL, "drift_day": "2026-11-12",
         "days": [day(10, 0.72), day(11, 0.41, alarm=True),
                  day(12, None, labelled=0.02, unfinished=True)],
         "drift": [{"name": f"{HTML}gust", "limits": 3.2, "label": "12 to 15", "before": 0.042,
                    "after": 0.96}], "more_drift": 0},
    ],
}  # fmt: skip
