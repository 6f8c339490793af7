"""The original: the scikit-learn model that a twin is made from, and the answers that it gives."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import mlflow.sklearn
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import DataType

from cloche.training.errors import TwinRefused
from cloche.training.pipeline.fit import Fitted
from cloche.training.pipeline.scorer import MISSING

Floats = npt.NDArray[np.float64]
Answers = tuple[Floats, npt.NDArray[Any] | None]

# Signature types that become float64 without a change of value.
_NUMBERS = (DataType.double, DataType.float, DataType.long, DataType.integer, DataType.boolean)
_WHOLE = (DataType.long, DataType.integer)
# Types that a plain model receives unchanged. From float32, scikit-learn would compute in float32,
# and some of its transformers do not accept bool as a number.
_PLAIN_NUMBERS = (DataType.double, *_WHOLE)

# Classifiers whose probabilities come from an internal cross-validation and may contradict their
# labels.
_VOTING = {"SVC", "NuSVC"}


@dataclass(frozen=True)
class Input:
    """A column of the signature, and the tensor that it becomes.

    Attributes:
        column: Name of the column in the signature.
        tensor: Type of the tensor: `double`, `int64` or `string`.
        missing: Text that stands for a missing value; None if missing values have no such text.
        whole: Whether the signature admits integers only.
    """

    column: str
    tensor: Literal["double", "int64", "string"]
    missing: str | None = None
    whole: bool = False


@dataclass(frozen=True)
class _Column:
    """The name and the type of a column of a signature."""

    name: str
    type: DataType


@dataclass(frozen=True)
class OriginalModel:
    """A model that is to be accelerated.

    Attributes:
        pipeline: The fitted scikit-learn model.
        inputs: The model's inputs, in the order of the signature.
        answers: Function from raw rows to (n, classes) probabilities and the (n,) labels that
            callers get; for a regression, to (n,) values and None.
        classes: Class labels in the order of the probabilities; empty for a regression.
        positive: Index of the class that the threshold applies to; None if the most probable class
            is predicted.
        threshold: Smallest probability at which the positive class is predicted; None if the most
            probable class is predicted.
        answer: Format of the answers that callers get, as stored in `twin.json`.
    """

    pipeline: Any
    inputs: tuple[Input, ...]
    answers: Callable[[pd.DataFrame], Answers]
    classes: tuple[Any, ...]
    positive: int | None
    threshold: float | None
    answer: Mapping[str, Any]


def original_from_fitted(fitted: Fitted, signature: ModelSignature) -> OriginalModel:
    """Return the original of a version that Cloche trains.

    Raises:
        TwinRefused: The version takes columns that no tensor can hold.
    """
    columns, task = fitted.description["columns"], fitted.description["task"]
    categories = {*columns["categorical"], *columns["text"]}
    inputs = tuple(_scorer_input(spec, categories) for spec in _columns(signature))
    if task == "regression":
        return OriginalModel(
            fitted.pipeline,
            inputs,
            answers=lambda rows: (fitted.predict(rows)["prediction"].to_numpy(float), None),
            classes=(),
            positive=None,
            threshold=None,
            answer={"columns": [{"name": "prediction", "from": "value"}]},
        )
    classes = fitted.description["classes"]
    positive = classes.index(fitted.description["positive"]) if task == "binary" else None
    named = (
        [("probability", positive)]
        if task == "binary"
        else [(f"probability_{label}", index) for index, label in enumerate(classes)]
    )

    def answers(rows: pd.DataFrame) -> Answers:
        told = fitted.predict(rows)
        scores = told[[name for name, _ in named]].to_numpy()
        if positive is not None:
            scores = np.hstack([scores, 1 - scores] if positive == 0 else [1 - scores, scores])
        return scores, told["prediction"].to_numpy()

    return OriginalModel(
        fitted.pipeline,
        inputs,
        answers=answers,
        classes=tuple(classes),
        positive=positive,
        threshold=fitted.description.get("threshold"),
        answer={
            "columns": [
                {"name": "prediction", "from": "label"},
                *({"name": name, "from": "probability", "class": at} for name, at in named),
            ]
        },
    )


def original_from_estimator(
    estimator: Any, signature: ModelSignature, *, predict: str = "predict"
) -> OriginalModel:
    """Return the original of a plain scikit-learn model, which answers with arrays.

    Raises:
        TwinRefused: The model's answers cannot be derived from scores, or it takes columns that no
            tensor can hold.
    """
    inputs = tuple(_plain_input(spec, _encoded(estimator)) for spec in _columns(signature))
    if getattr(estimator, "_estimator_type", None) == "regressor" or not hasattr(
        estimator, "classes_"
    ):
        if predict != "predict" or not hasattr(estimator, "predict"):
            raise TwinRefused(f"its answers come from {predict}, not from predict")
        return OriginalModel(
            estimator,
            inputs,
            answers=lambda rows: (np.asarray(estimator.predict(rows), float), None),
            classes=(),
            positive=None,
            threshold=None,
            answer={"array": "value"},
        )
    if not hasattr(estimator, "predict_proba"):
        raise TwinRefused(
            f"{type(_last(estimator)).__name__} tells no probabilities, so a twin could not tell "
            "how near its label is to another one"
        )
    if predict == "predict" and type(_last(estimator)).__name__ in _VOTING:
        raise TwinRefused(
            f"the labels of {type(_last(estimator)).__name__} do not follow from its probabilities"
        )
    if predict not in {"predict", "predict_proba"}:
        raise TwinRefused(f"its answers come from {predict}, not from predict or predict_proba")
    return OriginalModel(
        estimator,
        inputs,
        answers=lambda rows: (estimator.predict_proba(rows), estimator.predict(rows)),
        classes=tuple(_plain_classes(estimator.classes_)),
        positive=None,
        threshold=None,
        answer={"array": "label" if predict == "predict" else "probabilities"},
    )


def load_original(folder: Path) -> OriginalModel:
    """Return the original of a stored version, trained by Cloche or a plain scikit-learn model.

    MLflow loads the model here as it does to serve it, so the model must be trusted as much.

    Raises:
        TwinRefused: The version is of neither kind, or has no signature.
    """
    model = Model.load(str(folder))
    if model.signature is None or model.signature.inputs is None:
        raise TwinRefused("the version has no signature, so the types of its columns are unknown")
    description = folder / "artifacts" / "scorer.json"
    if description.is_file():
        pipeline = mlflow.sklearn.load_model(str(folder / "artifacts" / "pipeline"))
        told = json.loads(description.read_text(encoding="utf-8"))
        return original_from_fitted(Fitted(pipeline, told), model.signature)
    if "sklearn" not in model.flavors:
        raise TwinRefused(
            f"its flavor is {', '.join(sorted(model.flavors))}; a twin is made of scikit-learn"
        )
    called = model.flavors["python_function"].get("predict_fn", "predict")
    return original_from_estimator(
        mlflow.sklearn.load_model(str(folder)), model.signature, predict=called
    )


def _columns(signature: ModelSignature) -> list[_Column]:
    schema = signature.inputs
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        raise TwinRefused("its signature names no columns")
    columns = [
        _Column(str(spec.name), spec.type)
        for spec in schema.inputs
        if isinstance(spec.type, DataType)
    ]
    if len(columns) < len(schema.inputs):
        raise TwinRefused("its signature has columns that are no plain values")
    return columns


def _scorer_input(spec: _Column, categories: set[str]) -> Input:
    """Return the tensor of a column that `scorer.prepare` turns into a feature."""
    if spec.name in categories:
        if spec.type not in (DataType.string, *_WHOLE):
            raise _unfit(spec, "a category")
        return Input(spec.name, "string", MISSING, whole=spec.type in _WHOLE)
    if spec.type not in _NUMBERS:
        raise _unfit(spec, "a number")
    return Input(spec.name, "double", whole=spec.type in _WHOLE)


def _plain_input(spec: _Column, encoded: set[str]) -> Input:
    """Return the tensor of a column that goes to the model unchanged."""
    if spec.type is DataType.string:
        return Input(spec.name, "string")
    if spec.name in encoded:
        if spec.type not in _WHOLE:
            raise _unfit(spec, "a category")
        return Input(spec.name, "int64", whole=True)
    if spec.type not in _PLAIN_NUMBERS:
        raise _unfit(spec, "a number")
    return Input(spec.name, "double", whole=spec.type in _WHOLE)


def _unfit(spec: _Column, use: str) -> TwinRefused:
    return TwinRefused(
        f"column {spec.name!r} is {spec.type.name} and used as {use}, which no tensor holds exactly"
    )


def _encoded(estimator: Any) -> set[str]:
    """Return the columns that go directly into an encoder of categories."""
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    found: set[str] = set()
    for _, transformer, columns in getattr(first, "transformers_", ()):
        start = transformer.steps[0][1] if hasattr(transformer, "steps") else transformer
        if hasattr(start, "categories_"):
            found.update([columns] if isinstance(columns, str) else map(str, columns))
    if hasattr(first, "categories_"):
        found.update(map(str, getattr(first, "feature_names_in_", ())))
    return found


def _last(estimator: Any) -> Any:
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def _plain_classes(classes: Sequence[Any]) -> list[Any]:
    if not all(np.isscalar(label) for label in classes):
        raise TwinRefused("it predicts several targets at once")
    return [label.item() if isinstance(label, np.generic) else label for label in classes]
