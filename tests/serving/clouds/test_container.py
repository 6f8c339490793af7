"""`cloche container`: which options hold, and what is told when they do not."""

from typing import Any

import click
import pytest

from cloche.serving.cli.container import container
from cloche.serving.errors import SettingsError


def options(monkeypatch: pytest.MonkeyPatch, *arguments: str, **variables: str) -> dict[str, Any]:
    """The options that the command would serve with."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found: dict[str, Any] = container.make_context("container", list(arguments)).params
    return found


def test_the_cloud_says_what_nobody_else_does(monkeypatch):
    found = options(monkeypatch, "serve", SAGEMAKER_BIND_TO_PORT="8123")

    assert (found["models"], found["port"]) == (("model=/opt/ml/model",), 8123)


def test_variables_of_serve_go_before_the_cloud(monkeypatch):
    found = options(monkeypatch, "serve", CLOCHE_SERVE_PORT="7", CLOCHE_SERVE_REPLICAS="3")

    assert (found["port"], found["replicas"]) == (7, 3)


def test_a_model_of_the_registry_goes_before_the_one_in_the_container(monkeypatch):
    assert options(monkeypatch, "serve", "models:/m@production")["models"] == (
        "models:/m@production",
    )


def test_it_trains_nothing():
    with pytest.raises(click.BadParameter, match="'train' is not 'serve'"):
        container.make_context("container", ["train"])


def test_a_container_without_a_model_says_what_to_do(monkeypatch):
    monkeypatch.setenv("AIP_HTTP_PORT", "8080")

    with pytest.raises(SettingsError, match="AIP_STORAGE_URI names no model"):
        container.main(["serve"], standalone_mode=False)
