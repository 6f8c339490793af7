"""What servers are told of a monitoring."""

import json

import pytest
from mlflow import MlflowClient

from cloche.training.monitor.notices import set_tag

MODEL = "parcels"


def document(last_day: str) -> dict[str, object]:
    return {"model": MODEL, "first_day": "2026-03-01", "last_day": last_day, "alarms": []}


@pytest.fixture
def registry(client: MlflowClient) -> MlflowClient:
    client.create_registered_model(MODEL)
    return client


def told(registry: MlflowClient) -> tuple[str, str]:
    tag = json.loads(registry.get_registered_model(MODEL).tags["cloche.monitor"])
    return tag["last_day"], tag["run_id"]


def test_who_looks_at_the_past_leaves_what_is_told_of_later_days(registry: MlflowClient):
    assert set_tag(registry, document("2026-03-10"), "a") == ""
    assert "the days until 2026-03-10" in set_tag(registry, document("2026-03-05"), "b")
    assert told(registry) == ("2026-03-10", "a")
    assert set_tag(registry, document("2026-03-10"), "c") == ""
    assert told(registry) == ("2026-03-10", "c")


@pytest.mark.parametrize("other", ["", "no JSON", "[]", "{}", "null"])
def test_a_tag_of_another_form_is_replaced(registry: MlflowClient, other: str):
    registry.set_registered_model_tag(MODEL, "cloche.monitor", other)
    assert set_tag(registry, document("2026-03-05"), "b") == ""
    assert told(registry) == ("2026-03-05", "b")
