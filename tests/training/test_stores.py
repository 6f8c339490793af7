"""What the stores cannot take is told before anything is fitted, in one sentence with its fix."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cloche import main
from cloche.training.recipe.load import load_recipe
from cloche.training.train import train
from tests import strange
from tests.stores import stores

RECIPE = "breast-cancer"


@pytest.fixture(autouse=True)
def _in_a_folder(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def nothing_is_fitted(monkeypatch):
    monkeypatch.setattr("cloche.training.train.fit", lambda *_, **__: pytest.fail("it was fitted"))


@pytest.fixture
def nothing_is_read(monkeypatch):
    monkeypatch.setattr("cloche.training.train.prepare_data", lambda *_: pytest.fail("it was read"))


def said(**variables: str) -> str:
    done = CliRunner().invoke(main.cloche, ["train", RECIPE], env=variables)
    assert main.exit_code(done.exception) == 1, done.exception
    words = main._message(done.exception)
    assert "\n" not in words
    return words


@pytest.mark.usefixtures("nothing_is_read")
@pytest.mark.parametrize("chosen", [{}, {"MLFLOW_EXPERIMENT_NAME": "theirs"}])
def test_an_experiment_that_was_deleted(client, chosen):
    name = chosen.get("MLFLOW_EXPERIMENT_NAME", RECIPE)
    made = client.create_experiment(name)
    client.delete_experiment(made)
    words = said(**chosen)
    assert f"the experiment {name!r} was deleted" in words
    assert f"mlflow experiments restore --experiment-id {made}" in words


@pytest.mark.usefixtures("nothing_is_fitted")
def test_an_artifact_store_that_cannot_be_written(client, tmp_path):
    (tmp_path / "file").touch()  # not a folder: the superuser may write into any
    client.create_experiment(RECIPE, artifact_location=(tmp_path / "file" / "a").as_uri())
    words = said()
    assert "the artifact store file:///" in words
    assert "cannot be written: " in words
    assert "grant the right to write" in words


def test_an_artifact_store_that_is_full_when_the_model_comes(client, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")

    def write(*_: Any) -> None:
        raise full

    monkeypatch.setattr("cloche.training.train.record.record_evaluation", write)
    assert "cannot be written: [Errno 28] No space left on device. Make room there" in said()
    experiment = client.get_experiment_by_name(RECIPE)
    assert {run.info.status for run in client.search_runs([experiment.experiment_id])} == {"FAILED"}


@pytest.mark.usefixtures("nothing_is_read")
@pytest.mark.parametrize(
    "where", ["experiments/delete-experiment-tag", "registered-models/delete-tag"]
)
def test_an_account_without_the_right_to_write(where, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")

    def answer(handler: Any, _: bytes) -> None:
        path = handler.path.partition("/mlflow/")[2].partition("?")[0]
        experiment = {"experiment_id": "7", "name": RECIPE, "lifecycle_stage": "active"}
        if path == where:
            handler.reply(403, b"Permission denied")
        elif path == "experiments/get-by-name":
            handler.reply(200, json.dumps({"experiment": experiment}).encode(), "application/json")
        else:
            handler.reply(200, b"{}", "application/json")

    with strange.answering(answer) as url, stores(url):
        words = said()
    assert "does not let 'reader' do this: it needs EDIT" in words


@pytest.mark.usefixtures("nothing_is_read")
@pytest.mark.parametrize("locked", ["the file", "its folder"])
def test_a_registry_in_a_file_that_this_user_may_only_read(client, monkeypatch, locked):
    file = Path(client.tracking_uri.removeprefix("sqlite:///"))
    refused = file if locked == "the file" else file.parent
    allowed = os.access  # the superuser may write anywhere
    monkeypatch.setattr(os, "access", lambda path, mode: path != refused and allowed(path, mode))
    assert f"{refused} cannot be written by this user" in said()


def test_looking_leaves_nothing(client):
    def found() -> list[dict[str, Any]]:
        listed = [*client.search_experiments(), *client.search_registered_models()]
        return [dict(one) for one in listed]

    before = found()
    with pytest.raises(Exception, match="nowhere"):
        train(load_recipe(RECIPE, data="nowhere.csv"), lambda _: None)
    assert found() == before
