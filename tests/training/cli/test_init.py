"""`cloche init`: writes a recipe once, says what to do next, and harms no file."""

import contextlib
import sqlite3

import pandas as pd
import pytest
from click.testing import CliRunner

from cloche.training.cli.init import init
from cloche.training.recipe.load import load_recipe


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(init, arguments)


def test_a_recipe_is_written_that_loads(run, tmp_path):
    result = run("sample:wine")
    assert result.exit_code == 0
    assert result.stdout == "Wrote wine.yaml.\n"
    assert "cloche train wine.yaml --explain" in result.stderr
    assert load_recipe(str(tmp_path / "wine.yaml")).target == "cultivar"


def test_a_dash_writes_the_recipe_alone_to_stdout(run, tmp_path):
    result = run("sample:wine", "--output", "-")
    (tmp_path / "copy.yaml").write_text(result.stdout)
    assert load_recipe(str(tmp_path / "copy.yaml")).name == "wine"
    assert [file.name for file in tmp_path.iterdir()] == ["copy.yaml"]


def test_a_place_that_is_not_there_is_said(run):
    result = run("sample:wine", "--output", "absent/wine.yaml")
    assert result.exit_code == 1
    assert "absent/wine.yaml cannot be written" in result.stderr


@pytest.mark.parametrize("place", ["rows.csv", "linked.csv", "./rows.csv", "shop.db"])
def test_not_even_force_writes_over_the_data(place, run, tmp_path):
    rows = pd.DataFrame({"x": [(at * 7) % 11 for at in range(40)], "y": ["a", "b"] * 20})
    rows.to_csv("rows.csv", index=False)
    (tmp_path / "linked.csv").symlink_to("rows.csv")
    with contextlib.closing(sqlite3.connect("shop.db")) as connection:
        rows.to_sql("rows", connection, index=False)
    before = (tmp_path / place).read_bytes()

    data = (
        ("sqlite:///shop.db", "--query", "SELECT * FROM rows")
        if place == "shop.db"
        else ("rows.csv",)
    )
    result = run(*data, "--target", "y", "--output", place, "--force")

    assert result.exit_code == 2
    assert "holds the data" in result.stderr
    assert (tmp_path / place).read_bytes() == before
