"""What the commands of training advise is typed, and does what it is to do."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import mlflow.cli
import pandas as pd
import pytest
from click.testing import CliRunner

from cloche import main
from cloche.training.cli.evidence_link import evidence_link
from cloche.training.cli.promote import _moved
from cloche.training.promotion.promote import Promotion
from cloche.training.promotion.registry import find_model
from cloche.training.recipe.load import load_recipe
from tests.advice import words_of
from tests.stores import stores

MODEL = "late flights"  # which a shell divides


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> tuple[bool, str]:
    """Whether a command did its work, and all that it says."""
    done = CliRunner().invoke(main.cloche, words, prog_name="cloche")
    known = done.exception is None or isinstance(done.exception, SystemExit)
    said = done.output if known else main._message(done.exception)
    assert known or main.exit_code(done.exception), done.exception
    return done.exit_code == 0, " ".join(said.split()) if known else said


def refused(*words: str) -> str:
    worked, said = run(*words)
    assert not worked, said
    return said


def done(*words: str) -> str:
    worked, said = run(*words)
    assert worked, (words, said)
    return said


# What is typed, what it says, and what is typed then.
USAGE: dict[str, tuple[list[str], str, Callable[[list[str]], list[str]]]] = {
    "a sample without a file": (
        ["sample", "wine"], r"Name the file to write, like (\S+?),",
        lambda f: ["sample", "wine", *f],
    ),
    "a sample without a file, to standard output": (
        ["sample", "wine"], r"or (-) for stdout", lambda f: ["sample", "wine", *f],
    ),
    "a sample whose file is there": (
        ["sample", "wine", "there.csv"], r"or add (--force)",
        lambda o: ["sample", "wine", "there.csv", *o],
    ),
    "a sample whose file is there, and another": (
        ["sample", "wine", "there.csv"], r"(name another file)",
        lambda _: ["sample", "wine", "other.csv"],
    ),
    "a sample without days": (
        ["sample", "wine", "w.csv", "--from", "2013-11-01", "--to", "2013-11-02"],
        r"leave out (--from and --to)", lambda _: ["sample", "wine", "w.csv"],
    ),
    "a sample of one day and several": (
        ["sample", "flights", "f.csv", "--date", "2013-11-01", "--to", "2013-11-02"],
        r"Give (--date) for one day",
        lambda o: ["sample", "flights", "f.csv", *o, "2013-11-01"],
    ),
    "a sample as a file of no known kind": (
        ["sample", "wine", "wine.txt"], r"name the file (\S+),",
        lambda f: ["sample", "wine", f"wine{f[0]}"],
    ),
    "a sample as another file of no known kind": (
        ["sample", "wine", "wine.txt"], r"or (\.parquet)",
        lambda f: ["sample", "wine", f"wine{f[0]}"],
    ),
    "a sample's name": (
        ["sample", "wines", "w.csv"], r"did you mean ('\w+')\?", lambda f: ["sample", *f, "w.csv"],
    ),
    "a recipe that is there": (
        ["init", "sample:wine", "--output", "there.csv"], r"or add (--force)",
        lambda o: ["init", "sample:wine", "--output", "there.csv", *o],
    ),
    "a recipe that is there, and another": (
        ["init", "sample:wine", "--output", "there.csv"], r"name another file with (--output)",
        lambda o: ["init", "sample:wine", *o, "other.yaml"],
    ),
    "a recipe over its data": (
        ["init", "table.csv", "--output", "table.csv", "--force"],
        r"holds the data; name another file with (--output)",
        lambda o: ["init", "table.csv", *o, "other.yaml"],
    ),
    "an option of the reader": (
        ["init", "table.csv", "--option", "encoding"], r"expected KEY=VALUE, like (\S+)",
        lambda f: ["init", "table.csv", "--option", *f],
    ),
    "a change of a recipe": (
        ["train", "breast-cancer", "--explain", "--set", "seed"], r"like (\S+)",
        lambda f: ["train", "breast-cancer", "--explain", "--set", *f],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", USAGE)
def test_what_a_usage_error_asks_for_is_typed_and_works(mistake, tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    rows = pd.DataFrame({"x": [(at * 7) % 11 for at in range(40)], "y": ["a", "b"] * 20})
    rows.to_csv("table.csv", index=False)
    words, said, mend = USAGE[mistake]
    again = mend(words_of(said, refused(*words)))
    assert (tmp_path / "there.csv").read_text() == "mine"
    done(*again)


@pytest.mark.parametrize("output", ["wine.yaml", "my wine.yaml"])
def test_what_comes_next_after_a_first_recipe_is_typed(output):
    said = done("init", "sample:wine", "--output", output)
    words = words_of(r"cloche (train .*? --explain)", said)
    assert "the target" not in done(*words)
    assert (
        load_recipe(words_of(r"--explain .* cloche train (.*?) to train", said)[0]).name == "wine"
    )


def test_the_versions_of_one_of_many_models_are_shown(client):
    for name in "abcd":
        client.create_registered_model(name)
        client.create_model_version(name, "file:///nowhere")
    words = words_of(r"cloche (status MODEL) shows", done("status"))
    assert "unreadable" in done(*[word.replace("MODEL", "b") for word in words])


@pytest.fixture
def served(client) -> Callable[..., None]:
    """(model) → its version 1 served before version 2, and version 3 never did."""

    def make(model: str) -> None:
        client.create_registered_model(model)
        for number in ("1", "2", "3"):
            client.create_model_version(model, "file:///nowhere")
            if number != "3":
                for key in ("cloche.promoted_at", "cloche.digest"):
                    client.set_model_version_tag(model, number, key, "known")
        client.set_registered_model_alias(model, "production", "2")

    return make


def test_a_way_back_that_is_named_leads_back(client, served):
    served(MODEL)
    said = refused("rollback", MODEL)
    number = words_of(r"promoted before: (\d+)", said)
    done("rollback", MODEL, *words_of(r"name one: (--to) N", said), *number)
    assert find_model(client, MODEL).production == "1"


def test_a_version_that_never_served_is_asked_about_or_forced(client, served, monkeypatch):
    served(MODEL)
    client.set_model_version_tag(MODEL, "3", "cloche.digest", "known")
    said = refused("rollback", MODEL, "--to", "3")
    asked = words_of(r"`cloche (.*?)` asks the gate", said)
    assert asked == ["promote", MODEL, "--version", "3"]
    judged = run(*asked)[1]
    assert f"{MODEL} version 3 cannot be fetched" in judged or "MLmodel" in judged
    done("rollback", MODEL, "--to", "3", *words_of(r"(--force) does without", said))
    assert find_model(client, MODEL).production == "3"


def test_what_served_before_is_brought_back(client, served):
    served(MODEL)
    client.set_registered_model_alias(MODEL, "previous", "1")
    done(*words_of(r"`cloche (.*?)` brings it back", _moved(Promotion(MODEL, "2", replaced="1"))))
    assert find_model(client, MODEL).production == "1"


def test_a_registry_that_was_slow_is_looked_at(client, served, monkeypatch):
    served(MODEL)
    client.set_registered_model_alias(MODEL, "previous", "1")
    monkeypatch.setattr("cloche.training.promotion.lock._HELD_SECONDS", -1.0)
    said = refused("rollback", MODEL)
    monkeypatch.undo()
    assert "production" in done(*words_of(r"look at `cloche (.*?)`", said))
    assert "and run the command again" in said
    done("rollback", MODEL)


def test_the_name_of_a_model_or_version_that_there_is_is_found(client, served):
    served("late-flights")
    there = words_of(r"there are (\S+)$", refused("status", "lateflights"))
    done("status", *there)
    number = words_of(r"there are (\d+),", refused("rollback", *there, "--to", "9"))
    assert client.get_model_version(*there, *number)


@pytest.mark.usefixtures("client")
def test_a_gate_is_overruled_with_a_reason():
    said = refused("promote", "m", "--force")
    reason = words_of(r"--force needs (--reason) TEXT", said)
    assert "--reason" not in refused("promote", "m", "--force", *reason, "agreed")


def test_a_version_to_accelerate_is_named(client, served):
    served("late-flights")
    client.delete_registered_model_alias("late-flights", "production")
    said = refused("accelerate", "late-flights")
    option = words_of(r"name one: (--version) N", said)
    assert "name one" not in refused("accelerate", "late-flights", *option, "1")


@pytest.mark.parametrize("named", [True, False])
def test_the_run_of_a_judgement_is_seen_in_the_store_that_is_named(named, monkeypatch, tmp_path):
    uri = f"sqlite:///{tmp_path}/{'another' if named else 'mlflow'}.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    link = evidence_link(SimpleNamespace(tracking_uri=uri), "0" * 32)
    words = words_of(r"see it with `mlflow (.*)`\)$", os.path.expandvars(link))
    command = mlflow.cli.cli.get_command(click.Context(mlflow.cli.cli), words[0])
    shown = command.make_context(words[0], words[1:]).params["backend_store_uri"]
    with stores():
        assert (shown or mlflow.get_tracking_uri()) == uri


def test_the_page_of_a_judgement_is_told_without_the_password():
    run_of = SimpleNamespace(info=SimpleNamespace(experiment_id="7"))
    client = SimpleNamespace(tracking_uri="https://ana:s3cret@host:1/mlflow/",
                             get_run=lambda _: run_of)  # fmt: skip
    assert evidence_link(client, "r") == "https://host:1/mlflow/#/experiments/7/runs/r"
