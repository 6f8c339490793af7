"""Tells others of a monitoring: a webhook, a file for Prometheus, and a tag that servers read."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.training.monitor.alarms import capitalized
from cloche.training.monitor.monitor import open_alarms
from cloche.training.names import MONITOR
from cloche.values.passwords import without_password

_TIMEOUT = 10.0
_TEXT = 500  # characters of the tag's text
_SHOWN = 3


def summary(document: Mapping[str, Any]) -> str:
    """Return what was found in a sentence or some."""
    alarms = open_alarms(document)
    days = f"{document['first_day']} to {document['last_day']}"
    if not alarms:
        return f"{document['model']}, {days}: nothing is beyond its limit."
    texts = " ".join(capitalized(alarm["text"]) for alarm in alarms[:_SHOWN])
    more = f" And {len(alarms) - _SHOWN} more." if len(alarms) > _SHOWN else ""
    count = "1 alarm" if len(alarms) == 1 else f"{len(alarms)} alarms"
    return f"{document['model']}, {days}: {count}. {texts}{more}"


def set_tag(client: MlflowClient, document: Mapping[str, Any], run_id: str) -> str:
    """Write what was found to the registered model; return why it was not written, or nothing.

    What was found of later days stays: somebody has looked at the past.
    """
    found = {
        "last_day": document["last_day"], "alarms": len(open_alarms(document)),
        "text": summary(document)[:_TEXT], "run_id": run_id,
    }  # fmt: skip
    try:
        told = client.get_registered_model(document["model"]).tags.get(MONITOR, "")
        if (day := _last_day(told)) > document["last_day"]:
            return f"servers go on to show what was found of the days until {day}"
        client.set_registered_model_tag(document["model"], MONITOR, json.dumps(found))
    except MlflowException as error:
        return f"the tag {MONITOR} could not be written, so servers do not show this: {error}"
    return ""


def _last_day(tag: str) -> str:
    with suppress(ValueError, LookupError, TypeError):
        return str(json.loads(tag)["last_day"])
    return ""


def post(url: str, document: Mapping[str, Any], link: str) -> str:
    """Send the open alarms to a webhook; return why it did not take them, or nothing.

    The body has `text`, which chat tools show.
    """
    alarms = open_alarms(document)
    body = {
        "text": f"{summary(document)} {link}", "model": document["model"],
        "last_day": document["last_day"], "alarms": alarms,
    }  # fmt: skip
    try:
        requests.post(url, json=body, timeout=_TIMEOUT).raise_for_status()
    except requests.RequestException as error:
        reason = without_password(str(error)).replace(url, "it")
        return f"the webhook did not take the alarm: {reason}"
    return ""


def write_metrics(path: Path, document: Mapping[str, Any]) -> None:
    """Write a file for the textfile collector of Prometheus's node exporter, as a whole."""
    name = document["model"].replace("\\", "\\\\").replace('"', '\\"')
    lines = [
        "# HELP cloche_monitor_alarms Alarms of the last monitoring that go on.",
        "# TYPE cloche_monitor_alarms gauge",
        f'cloche_monitor_alarms{{model="{name}"}} {len(open_alarms(document))}',
        "# HELP cloche_monitor_quality Judged metric of the last finished day.",
        "# TYPE cloche_monitor_quality gauge",
    ]
    for one in document["versions"]:
        finished = [d for d in one["days"] if d["unfinished"] is None and d["metrics"]]
        value = finished[-1]["metrics"][one["metric"]]["value"] if finished else None
        if value is not None:
            labels = f'model="{name}",version="{one["version"]}",metric="{one["metric"]}"'
            lines.append(f"cloche_monitor_quality{{{labels}}} {value!r}")
    incomplete = path.with_name(f".{path.name}.incomplete")
    with suppress(FileNotFoundError):
        incomplete.unlink()
    incomplete.write_text("\n".join([*lines, ""]), encoding="utf-8")
    incomplete.replace(path)
