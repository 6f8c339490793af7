"""What servers tell of a monitoring: tags and documents of any form, at a bounded pace."""

import copy
import json
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from cloche.serving.registry.history import monitoring
from cloche.serving.registry.history.monitoring import Monitoring
from cloche.serving.registry.resolver import Resolver

TAG = {"last_day": "2026-11-30", "alarms": 1, "text": "1 alarm.", "run_id": "run"}
DAY = {
    "day": "2026-11-30", "rows": 400, "coverage": 0.9, "unfinished": None,
    "metrics": {"roc_auc": {"value": 0.5, "low": 0.4, "high": 0.6}},
}  # fmt: skip
DRIFT = {
    "kind": "column", "name": "gust", "day": "2026-11-30", "verdict": "drifted", "share": 3.0,
    "most": {"label": "12 to 15", "before": 0.01, "after": 0.9},
}  # fmt: skip
DOCUMENT: dict[str, Any] = {
    "first_day": "2026-11-29",
    "alarms": [
        {"version": "2", "first_day": "2026-11-30", "last_day": "2026-11-30", "open": True,
         "days": ["2026-11-30"], "text": "roc_auc fell."},
    ],
    "versions": [
        {"version": "2", "metric": "roc_auc", "holdout": {"roc_auc": [0.75, 0.7, 0.8]},
         "holdout_days": {"low": None, "high": None}, "days": [{**DAY, "day": "2026-11-29"}, DAY],
         "drift": [DRIFT, {**DRIFT, "name": "hour", "verdict": "usual"},
                   {**DRIFT, "day": "2026-11-29"}]},
    ],
}  # fmt: skip


class Client:
    """A registry with one model, which counts how often it was asked, until it is gone."""

    tracking_uri = "https://me:secret@host:1/mlflow/"

    def __init__(self) -> None:
        self.tag, self.count, self.gone = json.dumps(TAG), 0, False

    def search_registered_models(self, max_results: int) -> list[Any]:
        return []

    def get_registered_model(self, name: str) -> Any:
        self.count += 1
        if self.gone:
            raise MlflowException("gone")
        return SimpleNamespace(tags={"cloche.monitor": self.tag})

    def get_run(self, run_id: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(experiment_id="7"))


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def found(client: Client) -> Monitoring:
    return Monitoring(Resolver(lambda: client))


def tags(**changes: Any) -> dict[str, str]:
    return {"cloche.monitor": json.dumps({**TAG, **changes})}


def holds(monkeypatch: pytest.MonkeyPatch, document: Any) -> list[str]:
    """Have each run hold this document; return the list of what is asked for."""
    asked: list[str] = []
    monkeypatch.setattr(mlflow.artifacts, "load_dict", lambda uri: asked.append(uri) or document)
    return asked


def test_days_alarm_and_drift_of_the_last_day_are_told(found, monkeypatch) -> None:
    holds(monkeypatch, DOCUMENT)
    told = found.found("m", tags())
    assert told["link"] == "https://host:1/mlflow/#/experiments/7/runs/run"
    assert told["alarm"] == {"first_day": "2026-11-30", "text": "roc_auc fell."}
    (version,) = told["versions"]
    assert version["usual"] == {"low": 0.7, "high": 0.8, "of_days": False}
    assert [(day["day"], day["alarm"]) for day in version["days"]] == [
        ("2026-11-29", False), ("2026-11-30", True),
    ]  # fmt: skip
    assert version["days"][1] == {
        "day": "2026-11-30", "rows": 400, "labelled": 0.9, "unfinished": False, "alarm": True,
        "value": 0.5, "low": 0.4, "high": 0.6,
    }  # fmt: skip
    assert [(one["name"], one["limits"], one["after"]) for one in version["drift"]] == [
        ("gust", 3.0, 0.9)
    ]


def test_the_days_of_the_holdout_are_what_is_usual_where_they_are_known(found, monkeypatch) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["versions"][0]["holdout_days"] = {"low": 0.5, "high": 0.9}
    holds(monkeypatch, document)
    (version,) = found.found("m", tags())["versions"]
    assert version["usual"] == {"low": 0.5, "high": 0.9, "of_days": True}


def test_a_run_is_read_once_and_the_next_one_when_the_tag_names_it(found, monkeypatch) -> None:
    asked = holds(monkeypatch, DOCUMENT)
    for run_id in ("a", "a", "b"):
        found.found("m", tags(run_id=run_id))
    assert asked == ["runs:/a/monitor.json", "runs:/b/monitor.json"]


@pytest.mark.parametrize(
    "tag",
    [
        "", "no JSON", "[]", "7", "null", "[" * 100_000, json.dumps({}), "x" * 1_000_000,
        *(json.dumps({**TAG, **changed}) for changed in (
            {"alarms": None}, {"alarms": -1}, {"alarms": 1e999}, {"alarms": 10**300},
            {"last_day": "<b>"}, {"last_day": 5}, {"run_id": "../x"}, {"run_id": None},
        )),
    ],
    ids=lambda tag: tag[:40],
)  # fmt: skip
def test_a_tag_of_another_form_is_no_monitoring(tag: str, found, client, monkeypatch) -> None:
    asked = holds(monkeypatch, DOCUMENT)
    client.tag = tag
    assert found.found("m", {"cloche.monitor": tag}) is None
    assert found.alarms("m") is None
    assert asked == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), []), ((), "text"), (("versions",), None), (("alarms",), [1]), (("first_day",), "x"),
        (("versions", 0, "days", 0, "rows"), "many"), (("versions", 0, "holdout_days"), None),
        (("versions", 0, "days", 0, "metrics"), []), (("versions", 0, "drift", 0, "most"), 1),
        (("versions", 0, "days", 0, "coverage"), {}), (("versions", 0, "drift", 0, "share"), "x"),
    ],
)  # fmt: skip
def test_of_a_document_of_another_form_the_tag_is_told(path, value, found, monkeypatch) -> None:
    document: Any = copy.deepcopy(DOCUMENT)
    if path:
        part = document
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = value
    else:
        document = value
    holds(monkeypatch, document)
    told = found.found("m", tags())
    assert (told["text"], told["alarms"], told["versions"]) == ("1 alarm.", 1, [])


def test_what_is_told_is_bounded_and_json(found, monkeypatch) -> None:
    document = copy.deepcopy(DOCUMENT)
    version = document["versions"][0]
    version["days"] *= 1_000
    version["drift"] *= 1_000
    version["days"][-1]["metrics"]["roc_auc"]["value"] = float("nan")
    document["alarms"][0]["text"] = "long " * 100_000
    document["versions"] *= 100
    holds(monkeypatch, document)
    told = found.found("m", tags(text="long " * 100_000))
    assert len(json.dumps(told, allow_nan=False)) < 100_000
    assert told["versions"][-1]["days"][-1]["value"] is None
    assert told["versions"][-1]["more_drift"] > 0


def test_a_run_that_cannot_be_read_is_tried_again(found, monkeypatch) -> None:
    def gone(_: str) -> Any:
        raise MlflowException("gone")

    monkeypatch.setattr(mlflow.artifacts, "load_dict", gone)
    assert found.found("m", tags())["versions"] == []
    holds(monkeypatch, DOCUMENT)
    assert len(found.found("m", tags())["versions"]) == 1


def test_alarms_are_asked_for_once_a_minute_and_stay_while_the_registry_is_away(
    found, client, monkeypatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(monitoring.time, "monotonic", lambda: now[0])
    assert [found.alarms("m"), found.alarms("m"), client.count] == [1, 1, 1]
    client.gone = True
    now[0] += 61
    assert [found.alarms("m"), client.count] == [1, 2]
    client.gone, client.tag = False, json.dumps({**TAG, "alarms": 0})
    now[0] += 61
    assert found.alarms("m") == 0
