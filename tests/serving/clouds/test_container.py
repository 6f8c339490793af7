"""`cloche container`: which options hold, and what is told when they do not."""

from typing import Any

import click
import pytest

from cloche.serving.cli.container import container


def options(monkeypatch: pytest.MonkeyPatch, *arguments: str, **variables: str) -> dict[str, Any]:
    """The options that the command would serve with."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found: dict[str, Any] = container.make_context("container", list(arguments)).params
    return found


def test_the_cloud_says_what_nobody_else_does(monkeypatch):
    found = options(monkeypatch, "serve", SAGEMAKER_BIND_TO_PORT="8123")
    assert (found["models"], found["port"]) == (("model=/opt/ml/model",), 8123)
    told = {"CLOCHE_SERVE_PORT": "7", "CLOCHE_SERVE_REPLICAS": "3"}
    found = options(monkeypatch, "serve", "models:/m@production", **told)
    assert (found["port"], found["replicas"]) == (7, {"": 3})
    assert found["models"] == ("models:/m@production",)


def test_it_trains_nothing():
    with pytest.raises(click.BadParameter, match="'train' is not 'serve'"):
        container.make_context("container", ["train"])
