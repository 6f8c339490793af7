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


@pytest.mark.parametrize(
    ("value", "machine", "workers"), [("3", 8, 3), ("auto", 8, 4), ("auto", 1, 1)]
)
def test_the_number_of_workers_may_be_left_to_the_machine(
    monkeypatch: pytest.MonkeyPatch, value: str, machine: int, workers: int
) -> None:
    monkeypatch.setattr("cloche.serving.cli.serve.cores", lambda: machine)
    (option,) = [one for one in serve.params if one.name == "workers"]
    assert option.type_cast_value(click.Context(serve), value) == workers
