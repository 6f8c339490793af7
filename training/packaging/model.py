"""Logs the model as MLflow stores it: code, pipeline, profile, and the policy of its gate."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.utils import requirements_utils

from cloche.training.dataset.reading.files import is_parquet
from cloche.training.errors import TrainingError
from cloche.training.evaluation.predictions import TargetSpec
from cloche.training.names import METADATA, METADATA_SCHEMA
from cloche.training.packaging.requirements import exact_requirements
from cloche.training.packaging.skops_trust import trusted_types
from cloche.training.pipeline import scorer
from cloche.training.pipeline.fit import Fitted
from cloche.training.recipe.cross_checks import is_database
from cloche.training.recipe.schema import Recipe

# The part of MLflow's message that contains the rows of the table.
_ROWS = re.compile(r" of data '.*' with schema", re.DOTALL)


@dataclass(frozen=True)
class Package:
    """Everything that one version consists of.

    Attributes:
        example: A few complete rows of inputs.
        holdout: Entries `artifact`, `digest` and `rows`, with which the gate finds the holdout
            again.
    """

    recipe: Recipe
    target: TargetSpec
    fitted: Fitted
    signature: ModelSignature
    example: pd.DataFrame
    profile: dict[str, Any]
    holdout: dict[str, Any]


def log_package(package: Package) -> ModelInfo:
    """Log the model to the active run.

    Raises:
        TrainingError: The pipeline contains types that the recipe does not trust, or the example
            does not fit the signature.
    """
    recipe = package.recipe
    requirements = exact_requirements(package.fitted.pipeline)
    with TemporaryDirectory(prefix="cloche-") as folder, _without_comparison():
        pipeline_path = Path(folder, "pipeline")
        mlflow.sklearn.save_model(
            package.fitted.pipeline,
            str(pipeline_path),
            serialization_format="skops",
            skops_trusted_types=trusted_types(package.fitted.pipeline, recipe.estimator),
            pip_requirements=requirements,
        )
        with _without_rows():
            info: ModelInfo = mlflow.pyfunc.log_model(
                name="model",
                python_model=scorer.__file__,
                artifacts={
                    "pipeline": str(pipeline_path),
                    "scorer": _write_json(folder, "scorer.json", package.fitted.description),
                    "profile": _write_json(folder, "profile.json", package.profile),
                },
                signature=package.signature,
                input_example=package.example,
                pip_requirements=requirements,
                metadata={METADATA: _policy(package)},
            )
    return info


@contextmanager
def _without_comparison() -> Iterator[None]:
    """Keep MLflow from comparing the requirements with the installed packages.

    The requirements are those of the packages that are installed here, and MLflow would read the
    lists of files of all packages, which takes half a second.
    """
    compare = requirements_utils._check_requirement_satisfied
    requirements_utils._check_requirement_satisfied = lambda requirement_str: None  # noqa: ARG005
    try:
        yield
    finally:
        requirements_utils._check_requirement_satisfied = compare


@contextmanager
def _without_rows() -> Iterator[None]:
    """Remove the rows of the input example from MLflow's messages about it.

    Raises:
        TrainingError: The example does not fit the signature.
    """

    def reword(record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("Failed to validate serving input example"):
            record.msg, record.args = (
                "The input example does not pass MLflow's serving parser; the gate will say why.",
                (),
            )
        return True

    logger = logging.getLogger("mlflow.models.model")
    logger.addFilter(reword)
    try:
        yield
    except MlflowException as error:
        text = _ROWS.sub(" with schema", error.message)
        if text == error.message:
            raise
        raise TrainingError(f"the model cannot be stored: {text}") from None
    finally:
        logger.removeFilter(reword)


def _policy(package: Package) -> dict[str, Any]:
    """Return the gate's criteria and the data that it needs to apply them, for the metadata."""
    recipe = package.recipe
    return {
        "schema": METADATA_SCHEMA,
        "task": recipe.task,
        "target": recipe.target,
        "positive": package.target.positive,
        "classes": list(package.target.classes),
        "metrics": list(recipe.metrics),
        "slices": list(recipe.slices),
        "gate": recipe.gate.model_dump(mode="json"),
        "rollout": recipe.model_dump(mode="json", include={"rollout"})["rollout"],
        "seed": recipe.seed,
        "holdout": package.holdout,
        "reading": reading_of(recipe),
    }


def reading_of(recipe: Recipe) -> dict[str, Any]:
    """Return the options with which a CSV training table was read; `cloche score` uses them."""
    data = recipe.data
    is_table = data.format in ("auto", "csv") and not is_database(data.source)
    return dict(data.options) if is_table and not is_parquet(Path(data.source)) else {}


def _write_json(folder: str, name: str, document: dict[str, Any]) -> str:
    path = Path(folder, name)
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return str(path)
