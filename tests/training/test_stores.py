"""What the stores cannot take is told before anything is fitted, in one sentence with its fix."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cloche import main
from cloche.registry import connect_timeout
from cloche.training.recipe.load import load_recipe
from cloche.training.tracking.stores import _check_addresses, check_stores
from cloche.training.train import train
from tests import broken_servers
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


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """These variables, and no other that names a run or an experiment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.mark.usefixtures("nothing_is_read")
@pytest.mark.parametrize("chosen", [{}, {"MLFLOW_EXPERIMENT_NAME": "theirs"}])
def test_an_experiment_that_was_deleted(client, chosen):
    name = chosen.get("MLFLOW_EXPERIMENT_NAME", RECIPE)
    made = client.create_experiment(name)
    client.delete_experiment(made)
    words = said(**chosen)
    assert f"the experiment {name!r} was deleted" in words
    restore(words)
    with environment(**chosen):
        check_stores(load_recipe(RECIPE))
    assert client.get_experiment(made).lifecycle_stage == "active"


def restore(words: str) -> None:
    """Type the command of MLflow that a message ends with."""
    import mlflow.cli  # it imports MLflow's servers

    typed = words[words.index("mlflow ") :].split()
    done = CliRunner().invoke(mlflow.cli.cli, typed[1:])
    assert done.exit_code == 0, (typed, done.output)


@pytest.mark.usefixtures("nothing_is_fitted")
def test_an_artifact_store_that_cannot_be_written(client, tmp_path):
    (tmp_path / "file").touch()  # not a folder: the superuser may write into any
    client.create_experiment(RECIPE, artifact_location=(tmp_path / "file" / "a").as_uri())
    words = said()
    assert "the artifact store file:///" in words
    assert "cannot be written: " in words
    assert "Make room there or grant the right to write, and train again" in words
    (tmp_path / "file").unlink()
    check_stores(load_recipe(RECIPE))


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

    with broken_servers.answering(answer) as url, stores(url):
        words = said()
    assert "does not let 'reader' do this: it needs EDIT" in words


@pytest.mark.usefixtures("nothing_is_read")
@pytest.mark.parametrize("locked", ["the file", "its folder"])
def test_a_registry_in_a_file_that_this_user_may_only_read(client, monkeypatch, locked):
    file = Path(client.tracking_uri.removeprefix("sqlite:///"))
    refused = file if locked == "the file" else file.parent
    allowed = os.access  # the superuser may write anywhere
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: path != refused and allowed(path, mode))
        words = said()
        assert f"{refused} cannot be written by this user" in words
        variable = words.partition("Grant the right to write, or name another registry in ")[2]
        with environment(**{variable.strip("."): "sqlite:///another.db"}):
            connect_timeout._require_writable(os.environ["MLFLOW_TRACKING_URI"])
    connect_timeout._require_writable(client.tracking_uri)


def test_looking_leaves_nothing(client):
    def found() -> list[dict[str, Any]]:
        listed = [*client.search_experiments(), *client.search_registered_models()]
        return [dict(one) for one in listed]

    before = found()
    with pytest.raises(Exception, match="nowhere"):
        train(load_recipe(RECIPE, data="nowhere.csv"), lambda _: None)
    assert found() == before


def deleted(client, variable: str) -> str:
    """The id of a run or an experiment that was deleted."""
    made: str = client.create_experiment("mine")
    if variable == "MLFLOW_EXPERIMENT_ID":
        client.delete_experiment(made)
    else:
        client.delete_run(made := client.create_run(made).info.run_id)
    return made


@pytest.mark.usefixtures("nothing_is_read")
@pytest.mark.parametrize(
    ("variable", "held", "message"),
    [
        ("MLFLOW_RUN_ID", "0" * 32, "has none of that id: unset"),
        ("MLFLOW_RUN_ID", "", "which was deleted: unset MLFLOW_RUN_ID"),
        ("MLFLOW_EXPERIMENT_ID", "777", "has none of that id: unset"),
        ("MLFLOW_EXPERIMENT_ID", "mine", "has none of that id: unset"),
        ("MLFLOW_EXPERIMENT_ID", "", "mlflow experiments restore --experiment-id"),
    ],
)
def test_a_variable_that_names_nothing_to_train_into(variable, held, message, client):
    held = held or deleted(client, variable)
    words = said(**{variable: held})
    assert message in words
    assert "deleted" in words or words.startswith(f"{variable} names ")
    if "mlflow " in words:
        restore(words)
        with environment(**{variable: held}):
            check_stores(load_recipe(RECIPE))
    with environment():  # what `unset` leaves
        check_stores(load_recipe(RECIPE))


@pytest.mark.usefixtures("nothing_is_read")
@pytest.mark.parametrize(
    ("variable", "typed"),
    [
        *(("MLFLOW_TRACKING_URI", typed) for typed in (
            "sqlit:///mlflow.db", "sqlite:/mlflow.db", "htp://localhost:5000", "localhost:5000",
            "http:/localhost:5000", "http//localhost:5000", "databriks", "mlflow.db",
        )),
        ("MLFLOW_REGISTRY_URI", "sqlit:///mlflow.db"),
    ],
)  # fmt: skip
def test_an_address_with_a_typing_error(variable, typed):
    words = said(**{variable: typed})
    assert words.startswith(f"{variable} is {typed!r}, which is no address of a registry")
    _, _, advised = words.replace(" or ", ", ").partition("expected one like ")
    for address in advised.split(", "):
        with environment(**{variable: address}):
            _check_addresses()
    assert len(advised.split(", ")) == 3


@pytest.mark.parametrize(
    "right",
    ["http://localhost:5000", "https://h/p", "sqlite:///x.db", "postgresql+psycopg2://u@h/d",
     "mysql+pymysql://u:p@h/d", "databricks", "databricks://profile", "uc://x", ".", "/"],
)  # fmt: skip
def test_an_address_of_a_registry_is_let_pass(right, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", right)
    _check_addresses()


class Stopped(Exception):
    """What ends a training whose experiment is all that a test wants to know."""


@pytest.mark.parametrize("chosen", [True, False])
def test_the_experiment_that_the_environment_names_is_taken_and_no_other(
    chosen, client, monkeypatch
):
    def stop(*_: Any, **__: Any) -> None:
        raise Stopped

    monkeypatch.setattr("cloche.training.train.fit", stop)
    mine = client.create_experiment("mine")
    if chosen:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", mine)
    for recipe in (RECIPE,) if chosen else (RECIPE, "diabetes"):
        read = load_recipe(recipe)
        with pytest.raises(Stopped):
            train(read, lambda _: None)
        wanted = "mine" if chosen else read.name
        (run,) = client.search_runs([client.get_experiment_by_name(wanted).experiment_id])
        assert run.data.tags["cloche.recipe"] == read.name
