"""What `cloche monitor` found last of a model, for the page and for `/metrics`.

A tag of the registered model names the run of the monitoring, and a document of the run holds its
days. Anybody may write both: what has another form is left out, and nothing depends on it.
"""

import json
import math
import re
import time
from collections.abc import Mapping
from datetime import date
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from cloche.registry.run_link import run_link
from cloche.serving.errors import ServingError
from cloche.serving.registry.names import MONITOR_DOCUMENT, MONITOR_TAG
from cloche.serving.registry.resolver import Resolver, translated_errors

_ALARMS_SECONDS = 60.0  # between two looks of the poll; a monitoring runs once a day
_VERSIONS, _DAYS, _DRIFT = 4, 92, 8  # most that the page shows, the last and the worst of them
_NAME, _TEXT = 100, 1_000  # characters
_MOST_ALARMS = 1_000_000
_RUN_ID = re.compile(r"[\w-]{1,64}")
_OTHER_FORM = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
_NO_DAYS: dict[str, Any] = {
    "link": None, "first_day": None, "alarm": None, "last_alarm_day": None, "versions": [],
}  # fmt: skip


class Monitoring:
    """Reader of what was found of the models in the registry of a resolver."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._alarms: dict[str, tuple[float, int | None]] = {}  # by model: when it was read, what
        self._days: dict[str, tuple[str, dict[str, Any]]] = {}  # by model: run id, what it holds

    def alarms(self, model: str) -> int | None:
        """Return how many alarms of a registered model go on, as of a minute ago at most.

        None for a model that was not monitored. An old number stays while the registry is away.
        """
        read_at, count = self._alarms.get(model, (-math.inf, None))
        if time.monotonic() - read_at < _ALARMS_SECONDS:
            return count
        try:
            with translated_errors(model):
                tag = _tag(self._resolver.client.get_registered_model(model).tags)
            count = tag["alarms"] if tag else None
        except ServingError:
            pass  # the resolution of the version tells it
        self._alarms[model] = (time.monotonic(), count)
        return count

    def found(self, model: str, tags: Mapping[str, str]) -> dict[str, Any] | None:
        """Return what was found last of a registered model with these tags, for the page.

        None for a model that was not monitored; without days if the run cannot be read.
        """
        tag = _tag(tags)
        return tag and {**tag, **self._days_of(model, tag["run_id"])}

    def _days_of(self, model: str, run_id: str) -> dict[str, Any]:
        known_id, known = self._days.get(model, ("", _NO_DAYS))
        if run_id == known_id:  # finished runs do not change
            return known
        try:
            document = mlflow.artifacts.load_dict(f"runs:/{run_id}/{MONITOR_DOCUMENT}")
            days = {"link": run_link(self._resolver.client, run_id), **_condensed(document)}
        except (MlflowException, OSError, *_OTHER_FORM):
            return _NO_DAYS
        self._days[model] = (run_id, days)
        return days


def _tag(tags: Mapping[str, str]) -> dict[str, Any] | None:
    try:
        tag = json.loads(tags[MONITOR_TAG])
        run_id, alarms = tag["run_id"], int(tag["alarms"])
        if not _RUN_ID.fullmatch(run_id) or not 0 <= alarms <= _MOST_ALARMS:
            return None
        return {
            "last_day": _day(tag["last_day"]), "alarms": alarms, "text": str(tag["text"])[:_TEXT],
            "run_id": run_id,
        }  # fmt: skip
    except _OTHER_FORM:
        return None


def _condensed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a document of `cloche monitor`, as plain finite values."""
    alarms = document["alarms"]
    going_on = [one for one in alarms if one["open"]]
    alarmed = {(str(one["version"]), _day(day)) for one in alarms for day in one["days"]}
    return {
        "first_day": _day(document["first_day"]),
        "alarm": {
            "first_day": _day(going_on[0]["first_day"]), "text": str(going_on[0]["text"])[:_TEXT],
        } if going_on else None,
        "last_alarm_day": max((_day(one["last_day"]) for one in alarms), default=None),
        "versions": [_version(o, alarmed) for o in document["versions"][-_VERSIONS:] if o["days"]],
    }  # fmt: skip


def _version(one: Mapping[str, Any], alarmed: set[tuple[str, str]]) -> dict[str, Any]:
    version, metric = str(one["version"])[:_NAME], one["metric"]
    low, high = (_number(one["holdout_days"][end]) for end in ("low", "high"))
    of_days = low is not None and high is not None
    if not of_days and metric in one["holdout"]:
        low, high = (_number(end) for end in one["holdout"][metric][1:])
    drift_day = max((_day(row["day"]) for row in one["drift"]), default=None)
    drifted = [
        row for row in one["drift"]
        if _day(row["day"]) == drift_day and row["verdict"] == "drifted"
    ]  # fmt: skip
    drifted.sort(key=lambda row: -row["share"])
    return {
        "version": version,
        "metric": str(metric)[:_NAME] if metric else None,
        "usual": {"low": low, "high": high, "of_days": of_days},
        "days": [_day_values(day, metric, version, alarmed) for day in one["days"][-_DAYS:]],
        "drift_day": drift_day,
        "drift": [_drift(row) for row in drifted[:_DRIFT]],
        "more_drift": max(0, len(drifted) - _DRIFT),
    }


def _day_values(
    day: Mapping[str, Any], metric: str | None, version: str, alarmed: set[tuple[str, str]]
) -> dict[str, Any]:
    measured = day["metrics"].get(metric, {})
    return {
        "day": _day(day["day"]), "rows": int(day["rows"]), "labelled": _number(day["coverage"]),
        "unfinished": day["unfinished"] is not None,
        "alarm": (version, _day(day["day"])) in alarmed,
        **{name: _number(measured.get(name)) for name in ("value", "low", "high")},
    }  # fmt: skip


def _drift(row: Mapping[str, Any]) -> dict[str, Any]:
    most = row["most"]
    return {
        "name": str(row["name"])[:_NAME], "limits": _number(row["share"]),
        "label": str(most["label"])[:_NAME],
        "before": _number(most["before"]), "after": _number(most["after"]),
    }  # fmt: skip


def _day(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def _number(value: Any) -> float | None:
    """Return a number that JSON can write; None for what is none."""
    return float(value) if value is not None and math.isfinite(value) else None
