"""What hosts do where MLflow lacks what today's has, and where a check fails."""

import importlib
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import mlflow.types
import pytest
from mlflow.types import ColSpec, Schema

from cloche.serving.host.parsing import older_mlflow
from cloche.serving.host.parsing.content_types import JSON
from cloche.serving.processes.frames import Item
from tests.serving.host.test_advertised import scorer

NUMBERS = Schema([ColSpec("double", "a")])
EXAMPLE = Item(JSON, b'{"inputs": {"a": [1.0, 2.0]}}', protocol="mlflow")


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module as it is with MLflow 2.9, which has no such types and no context."""
    monkeypatch.setattr(mlflow.types, "schema", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc.context", None)
    yield importlib.reload(older_mlflow)
    monkeypatch.undo()
    importlib.reload(older_mlflow)


def test_an_old_release_needs_no_type_that_it_lacks(old: Any) -> None:
    specs = [ColSpec("double", "a"), ColSpec("boolean", "b")]
    assert old.without_casts(specs, {1}) == Schema(specs[:1])
    assert old.without_casts(specs, {0, 1}) is None
    assert not isinstance("double", old.Array)
    with old.in_prediction(object()):
        pass


class WithoutId:
    """A loaded model as releases before 3 have it."""


def test_a_model_without_an_id_predicts_in_a_context() -> None:
    with older_mlflow.in_prediction(WithoutId()):  # type: ignore[arg-type]
        pass


def test_a_check_that_fails_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = scorer(NUMBERS)

    def broken(*_: Any) -> None:
        raise AttributeError("no attribute 'model_id'")

    monkeypatch.setattr(model._instrumented, "predict_enforced", broken)
    with caplog.at_level(logging.WARNING):
        model.drop_inexact_predictors(EXAMPLE)

    assert not model.can_join
    assert "could not be found out" in caplog.text
    assert "looks across rows:" not in caplog.text
