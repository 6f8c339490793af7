"""What is advised about a registry that several programs write into is done, and they write."""

import sqlite3
from contextlib import closing

import psycopg
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from cloche import main
from tests import advice
from tests.shelf import copy_empty_store
from tests.stores import stores
from tests.team.services import postgres

pytestmark = [pytest.mark.slow, pytest.mark.breadth]


def test_a_registry_is_written_when_another_program_has_written_or_in_another_database(
    tmp_path, monkeypatch
):
    copy_empty_store(tmp_path / "mlflow.db")
    with stores(f"sqlite:///{tmp_path}/mlflow.db"):

        def status() -> tuple[int, str]:
            done = CliRunner().invoke(main.cloche, ["status"])
            return done.exit_code, main._message(done.exception) if done.exception else done.output

        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
            other.execute("BEGIN EXCLUSIVE")
            code, said = status()
        assert code == 1
        assert "is locked: another program writes into it. Try again when that has ended" in said
        assert status()[0] == 0
    variable, form = advice.text_of(r"export (\w+=\S+)@HOST/DATABASE\.$", said).split("=")
    with postgres() as uri, stores():
        assert uri.startswith(form.partition("USER")[0])
        monkeypatch.setenv(variable, uri)
        client = MlflowClient()
        client.create_registered_model("m")
        with closing(psycopg.connect(uri.replace("+psycopg", ""))) as other:
            other.execute("UPDATE registered_models SET description = 'another program'")
            client.create_registered_model("n")  # while that is not committed
