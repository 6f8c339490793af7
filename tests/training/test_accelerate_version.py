"""A registered version gets its twin, from whomever it comes, or keeps none that is not proven."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from cloche.training.accelerate_version import accelerate_version
from cloche.training.acceleration.proof.equivalence import Proof
from cloche.training.acceleration.proof.stored_twin import ProvenTwin
from cloche.training.errors import RegistryError, TwinRefused
from tests.advice import words_of


@pytest.fixture
def proven(monkeypatch):
    """Whatever is asked for has a proven twin."""

    def make_twin_in_process(folder, rows, **_):
        return ProvenTwin(b"", {}, Proof(rows=len(rows)))

    monkeypatch.setattr(
        "cloche.training.accelerate_version.make_twin_in_process", make_twin_in_process
    )


def accelerated(client: MlflowClient, **options):
    given = {"version": None, "data": None, "env_manager": "local", "say": lambda _: None}
    return accelerate_version(client, "flight-delay", cache=Path(), **(given | options))


def tags(client, number) -> dict[str, str]:
    return client.get_model_version("flight-delay", number).tags


def test_without_a_challenger_it_is_what_serves(client, log_version, proven):
    number = log_version(challenger=False)
    client.set_registered_model_alias("flight-delay", "production", number)
    assert accelerated(client).version == number


def test_a_version_that_carries_no_rows_is_proven_on_those_that_are_named(
    client, log_version, holdout, proven, tmp_path
):
    number = log_version(by_cloche=False)
    holdout.head(100).to_csv(tmp_path / "rows.csv", index=False)

    with pytest.raises(RegistryError, match="--data FILE"):
        accelerated(client, version=number)
    assert accelerated(client, version=number, data=str(tmp_path / "rows.csv")).proof.rows == 100


def test_a_twin_is_proven_in_the_environment_that_is_advised(
    client, log_version, proven, monkeypatch
):
    log_version()
    made, said = [], []

    def interpreter(_folder, manager, *_, **__):
        made.append(manager)
        return "" if manager == "local" else "a python"

    monkeypatch.setattr("cloche.training.accelerate_version.interpreter", interpreter)
    monkeypatch.setattr("cloche.training.accelerate_version.mismatches", lambda _: ["numpy==0.1"])
    accelerated(client, say=said.append)
    (told,) = (one for one in said if "is not the one that it was logged with" in one)
    option, manager = words_of(r"(--env-manager \w+) proves the twin in that one$", told)
    said.clear()
    accelerated(client, say=said.append, **{option.strip("-").replace("-", "_"): manager})
    assert made == ["local", manager]
    assert told not in said


def test_a_twin_that_is_proven_no_longer_is_withdrawn(client, log_version, proven, monkeypatch):
    number = log_version()
    accelerated(client)

    def refuse(*_, **__):
        raise TwinRefused("labels differ")

    monkeypatch.setattr("cloche.training.accelerate_version.make_twin_in_process", refuse)

    with pytest.raises(TwinRefused, match=f"version {number} gets no .* twin: labels differ"):
        accelerated(client)
    assert "cloche.accelerated" not in tags(client, number)
