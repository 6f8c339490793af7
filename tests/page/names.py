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
