"""Who starts a command sees at once what it does, while seconds of imports are still to come."""

import sys

import pytest
from click.testing import CliRunner

from cloche.main import cloche


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        ("train breast-cancer", "cloche.training.recipe.load"),
        ("promote m", "mlflow"),
        ("accelerate m", "mlflow"),
        ("rollback m", "mlflow"),
        ("status", "mlflow"),
        ("score models:/m@production rows.csv scores.csv", "cloche.serving.batch.run"),
        ("build models:/m@production --context-only context", "cloche.serving.image.context"),
        ("report scores.csv", "cloche.serving.batch.output.layout"),
        ("init sample:wine", "cloche.training.dataset.first_recipe.draft"),
        ("sample wine wine.csv", "cloche.training.dataset.samples.catalog"),
    ],
)
def test_a_command_says_what_it_does_before_it_imports(
    arguments: str, module: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, module, None)
    parent, _, name = module.rpartition(".")
    if parent in sys.modules:
        monkeypatch.delattr(sys.modules[parent], name, raising=False)
    result = CliRunner().invoke(cloche, arguments)
    assert isinstance(result.exception, ImportError)
    assert len(result.stderr.splitlines()) == 1
