"""How `cloche serve` reads its models from the environment."""

from pathlib import Path
from typing import Any

import click
import pytest

from cloche.serving.cli.serve import serve, settings_of
from cloche.serving.settings import MIB


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


def test_the_options_of_the_log_become_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOCHE_SERVE_LOG_SAMPLE", "0.5")
    monkeypatch.setenv("CLOCHE_LOG_KEY", "a secret that is long")
    context = serve.make_context("serve", [
        "models:/m@production", "--log", "rows", "--log-inputs", "a, b", "--log-hash", "b",
        "--log-spool-size", "2", "--cache-dir", str(tmp_path),
    ])  # fmt: skip
    given: dict[str, Any] = {**context.params}
    del given["log_format"]
    plan = settings_of(**given).log_plan
    assert plan is not None
    assert (plan.inputs, plan.hashed, plan.sample) == (("a", "b"), ("b",), 0.5)
    assert plan.spool_bytes == 2 * MIB
    assert plan.key == b"a secret that is long"
    assert settings_of(**given).log == str(tmp_path / "rows")
    assert settings_of(**given | {"log": "s3://bucket/rows"}).log == "s3://bucket/rows"
    assert settings_of(**given | {"log": ""}).log_plan is None
