"""What MLflow says of a model that cannot be stored shows no rows."""

import logging

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.utils import requirements_utils

from cloche.training.errors import TrainingError
from cloche.training.packaging.model import _without_comparison, _without_rows
from cloche.training.pipeline import scorer

CELL = "Kim, 41 Main Street"


def test_an_example_that_does_not_fit_its_signature_is_told_without_its_rows(tmp_path):
    signature = ModelSignature(Schema([ColSpec("string", "who"), ColSpec("long", "age")]))
    with pytest.raises(TrainingError) as caught, _without_rows():
        mlflow.pyfunc.save_model(
            str(tmp_path / "model"), python_model=scorer.__file__, signature=signature,
            input_example=pd.DataFrame({"who": [CELL], "age": [41.5]}), pip_requirements=["mlflow"],
        )  # fmt: skip
    assert CELL not in str(caught.value)
    assert "'age': long (required)" in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_example_that_cannot_be_served_is_told_without_its_rows():
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("mlflow.models.model")
    logger.addHandler(handler)
    try:
        with _without_rows():
            logger.warning("Failed to validate serving input example %s. Got error: …", CELL)
            logger.warning("Model logged without a signature.")
    finally:
        logger.removeHandler(handler)
    assert said == [
        "The input example does not pass MLflow's serving parser; the gate will say why.",
        "Model logged without a signature.",
    ]
    assert not logger.filters


def test_requirements_of_what_is_installed_are_not_compared_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(requirements_utils, "_PACKAGES_TO_MODULES", None)
    with _without_comparison():
        mlflow.pyfunc.save_model(
            str(tmp_path / "model"), python_model=scorer.__file__, pip_requirements=["mlflow"]
        )
    assert requirements_utils._PACKAGES_TO_MODULES is None


def test_other_errors_of_mlflow_stay_as_they_are():
    with pytest.raises(MlflowException, match="no such run"), _without_rows():
        raise MlflowException("no such run")
