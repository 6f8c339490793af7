"""What the dashboard and the alerts ask for is what the server shows."""

import json
import re
from collections.abc import Iterator

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.conftest import DEPLOY
from tests.serving.observability.test_metrics import PROMISED

COMPOSE = DEPLOY / "compose"
DASHBOARD = COMPOSE / "grafana" / "dashboards" / "cloche.json"
ALERTS = COMPOSE / "prometheus" / "alerts.yml"
DATASOURCE = COMPOSE / "grafana" / "provisioning" / "datasources" / "prometheus.yml"


def panels() -> list[dict]:
    found: list[dict] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    """Every question to Prometheus."""
    for panel in panels():
        yield from (target["expr"] for target in panel.get("targets", []))
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        yield variable["query"]["query"]
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def series(page: str) -> set[str]:
    """The names of all series that a page of metrics can show, also those without a sample yet."""
    names = set()
    for family in text_string_to_metric_families(page):
        if family.type == "counter":
            names.add(f"{family.name}_total")
        elif family.type == "histogram":
            names |= {f"{family.name}_{end}" for end in ("bucket", "sum", "count")}
        else:
            names.add(family.name)
    return names


def asked() -> set[str]:
    """The series that are asked for."""
    return {name for one in expressions() for name in re.findall(r"\bcloche_\w+", one)}


def test_what_is_asked_for_is_there():
    from prometheus_client import generate_latest

    from cloche.serving.observability.metrics import Metrics

    assert asked()
    assert asked() <= series(generate_latest(Metrics().registry).decode())


def test_every_metric_is_on_the_dashboard():
    shown = " ".join(target["expr"] for panel in panels() for target in panel.get("targets", []))
    assert not [name for name in PROMISED if not re.search(rf"\b{name}(_bucket|_sum)?\b", shown)]


def test_it_is_asked_for_by_labels_that_it_has():
    for expression in expressions():
        families = re.findall(r"\b(cloche_\w+?)(?:_bucket|_sum|_count)?\b", expression)
        for by in re.findall(r"\bby \(([^)]*)\)", expression):
            labels = {label.strip() for label in by.split(",")} - {"le", "instance"}
            assert not [name for name in families if not labels <= set(PROMISED[name])], expression


def test_the_panels_ask_the_data_source_that_is_provisioned():
    (source,) = yaml.safe_load(DATASOURCE.read_text())["datasources"]

    for panel in panels():
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": source["uid"]}


def test_no_two_panels_lie_on_each_other():
    taken = set()
    for panel in panels():
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, panel["title"]
                taken.add((x, y))
