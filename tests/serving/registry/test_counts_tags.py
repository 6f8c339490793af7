"""Servers that count a canary are known by their tags, which change nothing else."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.server_counts import ServerCounts
from cloche.serving.registry import counts_tags
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.resolver import Resolver
from tests.shelf import copy_empty_store


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    """A registry with version 1 of m as its canary."""
    copy_empty_store(tmp_path / "mlflow.db")
    made = MlflowClient(*[f"sqlite:///{tmp_path}/mlflow.db"] * 2)
    made.create_registered_model("m")
    made.create_model_version("m", str(tmp_path))
    made.set_registered_model_alias("m", "canary", "1")
    return made


def write(client: MlflowClient, server: str, run_id: str = "", age: float = 0.0) -> None:
    at = datetime.now(UTC).timestamp() - age
    value = ServerCounts(RolloutCounts(), at=at, run_id=run_id).as_json()
    counts_tags.write(client, "m", "1", server, value)


def canary(client: MlflowClient) -> ResolvedVersion:
    found = Resolver(lambda: client).find_arm("m", "canary")
    assert found is not None
    return found


def test_servers_count_that_wrote_of_this_rollout_lately(client: MlflowClient) -> None:
    write(client, "a")
    write(client, "b")
    write(client, "late", age=3600)
    write(client, "other", "run")
    client.set_model_version_tag("m", "1", "cloche.rollout_counts.odd", "{}")
    assert canary(client).counting_servers == ("a", "b")
    client.set_model_version_tag("m", "1", "cloche.rollout_run_id", "run")
    assert canary(client).counting_servers == ("other",)


def test_what_servers_count_makes_no_other_revision(client: MlflowClient) -> None:
    before = canary(client)
    write(client, "a")
    assert canary(client).revision == before.revision
    client.set_model_version_tag("m", "1", "cloche.canary_percent", "5")
    assert canary(client).revision != before.revision


def test_all_counts_of_a_rollout_are_removed_and_no_others(client: MlflowClient) -> None:
    client.set_model_version_tag("m", "1", "mine", "stays")
    write(client, "a")
    write(client, "late", age=3600)
    write(client, "other", "run")
    counts_tags.remove(client, "m", "1", "")
    assert set(client.get_model_version("m", "1").tags) == {"mine", "cloche.rollout_counts.other"}
