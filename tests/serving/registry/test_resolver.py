"""A model URI resolves to a version with the stages that tags name, in the order of the rows."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from cloche.serving.errors import VersionRefused
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse
from tests.shelf import copy_empty_store


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    """A registry with the models 0 to 9, of which each names the next one as its stage."""
    copy_empty_store(tmp_path / "mlflow.db")
    made = MlflowClient(*[f"sqlite:///{tmp_path}/mlflow.db"] * 2)
    for number in range(10):
        made.create_registered_model(f"m{number}")
        made.create_model_version(f"m{number}", str(tmp_path))
        made.set_model_version_tag(f"m{number}", "1", "cloche.before", f"models:/m{number + 1}/1")
    return made


def resolved(client: MlflowClient, uri: str) -> list[str]:
    found = Resolver(lambda: client).resolve_with_stages(parse(uri))
    return [one.artifacts for one in found.with_stages]


def test_stages_come_in_the_order_of_the_rows(client: MlflowClient) -> None:
    client.set_model_version_tag("m3", "1", "cloche.before", "none")
    assert resolved(client, "models:/m1/1") == ["models:/m3/1", "models:/m2/1", "models:/m1/1"]
    assert resolved(client, "models:/m3/1") == ["models:/m3/1"]


def test_eight_stages_are_the_most(client: MlflowClient) -> None:
    client.set_model_version_tag("m9", "1", "cloche.before", "none")
    assert len(resolved(client, "models:/m1/1")) == 9
    with pytest.raises(VersionRefused, match=r"^models:/m0/1 has more than 8 stages before it"):
        resolved(client, "models:/m0/1")


def test_a_circle_is_told_once_by_its_way(client: MlflowClient) -> None:
    client.set_model_version_tag("m2", "1", "cloche.before", "models:/m1/1")
    with pytest.raises(VersionRefused) as refusal:
        resolved(client, "models:/m1/1")
    way = "models:/m1/1 after models:/m2/1 after models:/m1/1"
    assert str(refusal.value) == f"{way}: in a circle. Remove one tag cloche.before."


def test_a_stage_that_is_gone_is_named_by_who_names_it(client: MlflowClient) -> None:
    with pytest.raises(VersionRefused, match=r"^models:/m9/1: the stage before it .*models:/m10/1"):
        resolved(client, "models:/m9/1")
