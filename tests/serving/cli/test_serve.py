"""How `cloche serve` reads its models from the environment."""

import click
import pytest

from cloche.serving.cli.serve import serve


@pytest.mark.parametrize(
    ("value", "uris"),
    [
        ("models:/a@production  b=models:/b/2", ["models:/a@production", "b=models:/b/2"]),
        ("models:/a b@production\n", ["models:/a b@production"]),
        ("models:/a b@p\nc=models:/d e/1\n\n", ["models:/a b@p", "c=models:/d e/1"]),
    ],
)
def test_a_variable_names_models_with_and_without_blanks(
    monkeypatch: pytest.MonkeyPatch, value: str, uris: list[str]
) -> None:
    monkeypatch.setenv("CLOCHE_SERVE_MODELS", value)
    (models,) = [one for one in serve.params if one.name == "models"]
    assert models.value_from_envvar(click.Context(serve)) == uris
