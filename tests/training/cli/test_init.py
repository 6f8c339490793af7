"""`cloche init`: writes a recipe once, says what to do next, and harms no file."""

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


def test_an_existing_file_is_kept_unless_forced(run, tmp_path):
    (tmp_path / "wine.yaml").write_text("mine")
    result = run("sample:wine")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert (tmp_path / "wine.yaml").read_text() == "mine"
    assert run("sample:wine", "--force").exit_code == 0
    assert load_recipe(str(tmp_path / "wine.yaml")).name == "wine"


def test_the_file_and_the_target_can_be_named(run, tmp_path):
    result = run("sample:wine", "--target", "alcohol", "--output", "strength.yaml")
    assert result.exit_code == 0
    assert load_recipe(str(tmp_path / "strength.yaml")).task == "regression"


def test_a_dash_writes_the_recipe_alone_to_stdout(run, tmp_path):
    result = run("sample:wine", "--output", "-")
    (tmp_path / "copy.yaml").write_text(result.stdout)
    assert load_recipe(str(tmp_path / "copy.yaml")).name == "wine"
    assert [file.name for file in tmp_path.iterdir()] == ["copy.yaml"]


def test_a_place_that_is_not_there_is_said(run):
    result = run("sample:wine", "--output", "absent/wine.yaml")
    assert result.exit_code == 1
    assert "absent/wine.yaml cannot be written" in result.stderr
