from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.server_counts import ServerCounts
from cloche.rollout.step import Step
from cloche.serving.registry.history.history import History
from cloche.serving.registry.history.monitoring import Monitoring
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import ModelUri, Reference, parse
from tests.page.names import EVIDENCE

FOLLOWED = parse("models:/m@production")


class Client:
    """A registry whose newest page is version 3, and whose alias is on version 1."""

    tracking_uri = "https://me:secret@host:1/mlflow/"

    def search_registered_models(self, max_results: int) -> list[Any]:
        return []

    def get_registered_model(self, name: str) -> Any:
        return SimpleNamespace(aliases={"production": "1"}, tags={})

    def search_model_versions(self, *_: Any, **__: Any) -> list[Any]:
        return PagedList([self.get_model_version("m", "3")], token=None)

    def get_model_version(self, name: str, number: str) -> Any:
        tags = {"cloche.gate": "passed", "cloche.gate_run_id": f"run{number}"}
        return SimpleNamespace(name=name, version=number, creation_timestamp=0, tags=tags)

    def get_run(self, run_id: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(experiment_id="7"))


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setattr(mlflow.artifacts, "load_dict", lambda _: EVIDENCE)
    resolver = Resolver(Client)
    return History(resolver, Monitoring(resolver))


def test_what_has_an_alias_is_told_however_old_it_is(history: History, monkeypatch) -> None:
    monkeypatch.setattr(mlflow.artifacts, "load_dict", lambda _: EVIDENCE)
    told = history.read(FOLLOWED)["versions"]
    assert [(one["version"], one["aliases"]) for one in told] == [("3", []), ("1", ["production"])]


def test_evidence_is_read_once(history: History, monkeypatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(mlflow.artifacts, "load_dict", lambda uri: asked.append(uri) or EVIDENCE)
    history.read(FOLLOWED)
    told = history.read(FOLLOWED)["versions"]
    assert asked == ["runs:/run3/evidence.json", "runs:/run1/evidence.json"]
    assert told[0]["evidence"]["score"] == EVIDENCE["scores"]["roc_auc"]


@pytest.mark.parametrize("found", [MlflowException("gone"), {}, [], {"metric": 1}])
def test_a_version_is_told_without_evidence_that_cannot_be_read(
    history: History, monkeypatch, found: Any
) -> None:
    def load(_: str) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(mlflow.artifacts, "load_dict", load)
    newest = history.read(FOLLOWED)["versions"][0]
    assert (newest["gate"], newest["evidence"]) == ("passed", None)


def test_a_link_to_the_evidence_holds_no_password(history: History, monkeypatch) -> None:
    monkeypatch.setattr(mlflow.artifacts, "load_dict", lambda _: EVIDENCE)
    newest = history.read(FOLLOWED)["versions"][0]
    assert newest["evidence"]["link"] == "https://host:1/mlflow/#/experiments/7/runs/run3"


def test_a_model_outside_the_registry_has_no_versions(history: History) -> None:
    nothing = history.read(ModelUri("some/folder", "m", Reference.ARTIFACTS))
    assert nothing == {"versions": [], "monitor": None, "monitor_command": None}


def test_the_rollout_of_a_canary_is_told_by_what_all_servers_count(
    history: History, monkeypatch
) -> None:
    counts = RolloutCounts()
    counts.count(5, "canary", "requests", 30)
    told = ServerCounts(counts, percent=5, run_id="r").as_json()
    tags = {
        "cloche.rollout": "running: started by ana", "cloche.rollout_run_id": "r",
        "cloche.rollout_step": Step(5, datetime.now(UTC), "1").as_json(),
        "cloche.rollout_counts.one": told, "cloche.rollout_counts.two": told,
    }  # fmt: skip
    canary = SimpleNamespace(name="m", version="3", creation_timestamp=0, tags=tags)
    aliases = SimpleNamespace(aliases={"production": "1", "canary": "3"}, tags={})
    monkeypatch.setattr(Client, "get_registered_model", lambda *_: aliases)
    monkeypatch.setattr(Client, "search_model_versions", lambda *_, **__: PagedList([canary], None))
    newest, production = history.read(FOLLOWED)["versions"]
    assert production["rollout"] is None
    rollout = newest["rollout"]
    assert (rollout["state"], rollout["reason"]) == ("running", "started by ana")
    assert (rollout["step"]["number"], rollout["next"], rollout["servers"]) == (2, 25, 2)
    assert {one["name"]: one["done"] for one in rollout["checks"]}["requests"] == 60
    tags["cloche.rollout"] = "promoted: by hand"  # and the canary was set again, with this share
    tags["cloche.canary_percent"] = "25"
    rollout = history.read(FOLLOWED)["versions"][0]["rollout"]
    assert (rollout["step"], rollout["next"]) == (None, 50)
    tags["cloche.canary_percent"] = "some"
    assert history.read(FOLLOWED)["versions"][0]["rollout"] is None
