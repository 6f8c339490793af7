"""What a model said about some rows, whatever shape it said it in, and what came true.

A model trained by Cloche returns a table with named columns; models of others return labels,
probabilities, matrices or tables of their own. The module reads them where only one reading is
possible and refuses the rest. It knows nothing of metrics, and nothing of how a model is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.errors import TrainingError
from training.recipe.vocabulary import Task

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Label = bool | int | float | str

PREDICTION = "prediction"
PROBABILITY = "probability"

# Probabilities that went through float32 or were rounded for people still add up to one this
# closely.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        task: binary, multiclass or regression.
        classes: every label, in the order of a model's probability columns; empty for regression.
        positive: for a binary task, the label whose probability is asked for.
        threshold: for a binary task, the probability from which on the positive label is meant,
            where a model returns probabilities only.
    """

    task: Task
    classes: tuple[Label, ...] = ()
    positive: Label | None = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.task == "binary" and len(self.classes) != 2:
            raise TrainingError(
                f"a binary target has two labels, and this one has {len(self.classes)}: "
                f"{_listed(self.classes)}"
            )
        if self.task == "binary" and self.positive not in self.classes:
            raise TrainingError(
                f"the positive label {self.positive!r} is not one of {_listed(self.classes)}"
            )

    @classmethod
    def of(
        cls,
        task: Task,
        values: Any,
        *,
        positive: Label | None = None,
        threshold: float = 0.5,
    ) -> Self:
        """The target that a column of the table holds: its labels in sorted order.

        Of two labels the greater is the positive one unless `positive` says otherwise.

        Raises:
            TrainingError: the column does not fit the task.
        """
        if task == "regression":
            return cls(task)
        uniques = pd.unique(pd.Series(np.asarray(values)).dropna())
        classes = tuple(sorted((_plain(label) for label in uniques), key=_sort_key))
        if task == "multiclass":
            return cls(task, classes)
        if positive is None and classes:
            positive = classes[-1]
        return cls(task, classes, positive, threshold)

    @property
    def positive_code(self) -> int:
        """Position of the positive label in `classes`."""
        return self.classes.index(self.positive)

    def encode(self, values: Any) -> Codes:
        """Labels as positions in `classes`, shape (n,).

        Labels that went through a file or a schema may have changed type; `1`, `1.0`, `True` and
        `"1"` name one class as long as no other class reads the same.

        Raises:
            TrainingError: a label is missing or not one of the classes.
        """
        codes, uniques = pd.factorize(np.asarray(values))
        if (codes < 0).any():
            raise TrainingError(f"{int((codes < 0).sum())} of {len(codes)} labels are missing")
        by_value = {label: code for code, label in enumerate(self.classes)}
        by_text = {str(label): code for code, label in enumerate(self.classes)}
        lookup = np.empty(len(uniques), dtype=np.intp)
        for position, unique in enumerate(uniques):
            label = _plain(unique)
            code = by_value.get(label, by_text.get(str(label)))
            if code is None:
                raise TrainingError(
                    f"label {label!r} is not one of the target's: {_listed(self.classes)}"
                )
            lookup[position] = code
        return lookup[codes]

    def knows(self, values: Any) -> bool:
        """Whether every value is a label of this target."""
        try:
            self.encode(values)
        except TrainingError:
            return False
        return True


@dataclass(frozen=True)
class Predictions:
    """What a model said about n rows.

    Attributes:
        target: what was asked.
        codes: the predicted labels as positions in `target.classes`, shape (n,); None for
            regression.
        values: the predicted numbers, shape (n,); None unless regression.
        probabilities: shape (n, classes), rows adding up to one; None where the model gives none.
    """

    target: Target
    codes: Codes | None = None
    values: Floats | None = None
    probabilities: Floats | None = None

    def __len__(self) -> int:
        return len(self.values if self.codes is None else self.codes)  # type: ignore[arg-type]

    @property
    def labels(self) -> npt.NDArray[Any]:
        """The predicted labels themselves, shape (n,)."""
        return np.asarray(self.target.classes)[self.codes]

    def positive_probability(self) -> Floats:
        """For a binary task, the probability of the positive label, shape (n,).

        Raises:
            TrainingError: the model gives no probabilities.
        """
        if self.probabilities is None:
            raise TrainingError("the model gives labels only, no probabilities")
        column: Floats = self.probabilities[:, self.target.positive_code]
        return column

    def take(self, rows: npt.NDArray[Any]) -> "Predictions":
        """The predictions for some rows, given as positions or as a mask."""
        return Predictions(
            self.target,
            None if self.codes is None else self.codes[rows],
            None if self.values is None else self.values[rows],
            None if self.probabilities is None else self.probabilities[rows],
        )


@dataclass(frozen=True)
class Outcome:
    """Predictions beside what came true.

    Attributes:
        truth: positions in `target.classes`, or numbers for regression; shape (n,).
        predictions: for the same rows in the same order.
    """

    truth: npt.NDArray[Any]
    predictions: Predictions

    @classmethod
    def of(cls, truth: Any, predictions: Predictions) -> Self:
        """Join the target column, as the table holds it, with the predictions for its rows.

        Raises:
            TrainingError: a value is missing, not a label of the target, or the numbers of rows
                differ.
        """
        target = predictions.target
        encoded = (
            _numbers(truth, "the target") if target.task == "regression" else target.encode(truth)
        )
        if len(encoded) != len(predictions):
            raise TrainingError(
                f"{len(predictions)} predictions for {len(encoded)} rows of the target"
            )
        return cls(encoded, predictions)

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: npt.NDArray[Any]) -> "Outcome":
        """The outcome for some rows, given as positions or as a mask."""
        return Outcome(self.truth[rows], self.predictions.take(rows))


def read(output: Any, target: Target, *, rows: int) -> Predictions:
    """Read what a pyfunc's `predict` returned for `rows` rows.

    Raises:
        TrainingError: the output has another number of rows, missing values, or no single meaning
            for the task.
    """
    if isinstance(output, Mapping):
        output = pd.DataFrame({str(name): list(column) for name, column in output.items()})
    if isinstance(output, pd.DataFrame):
        predictions = _from_table(output, target)
    else:
        predictions = _from_array(_as_array(output), target)
    if len(predictions) != rows:
        raise TrainingError(f"the model returned {len(predictions)} predictions for {rows} rows")
    return predictions


def _from_table(table: pd.DataFrame, target: Target) -> Predictions:
    table = table.set_axis([str(name) for name in table.columns], axis="columns")
    named = _named_probabilities(table, target)
    if PREDICTION in table.columns:
        if target.task == "regression":
            return Predictions(target, values=_numbers(table[PREDICTION], PREDICTION))
        codes = target.encode(table[PREDICTION])
        return Predictions(target, codes=codes, probabilities=named)
    if named is not None:
        return _from_probabilities(named, target)
    if table.shape[1] == 1:
        return _from_array(table.iloc[:, 0].to_numpy(), target)
    if target.task != "regression" and all(map(pd.api.types.is_numeric_dtype, table.dtypes)):
        return _from_array(table.to_numpy(dtype=np.float64), target)
    raise TrainingError(
        f"cannot tell which of the model's output columns {_listed(table.columns)} is the "
        f"prediction; name one {PREDICTION!r}"
    )


def _named_probabilities(table: pd.DataFrame, target: Target) -> Floats | None:
    """Probabilities found by their columns' names: the positive label's alone, or every label's."""
    if target.task == "regression":
        return None
    if target.task == "binary" and PROBABILITY in table.columns:
        return _two_columns(_numbers(table[PROBABILITY], PROBABILITY), target)
    for pattern in (PROBABILITY + "_{}", "{}"):
        names = [pattern.format(label) for label in target.classes]
        if set(names) <= set(table.columns):
            matrix = np.column_stack([_numbers(table[name], name) for name in names])
            return _checked_probabilities(matrix)
    return None


def _from_array(array: npt.NDArray[Any], target: Target) -> Predictions:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and target.task != "regression":
        if array.shape[1] != len(target.classes):
            raise TrainingError(
                f"the model returned {array.shape[1]} columns, and the target has "
                f"{len(target.classes)} labels: {_listed(target.classes)}"
            )
        return _from_probabilities(_checked_probabilities(_numbers(array, "the output")), target)
    if array.ndim != 1:
        raise TrainingError(
            f"the model returned an array of shape {array.shape}; "
            "one prediction for each row was expected"
        )
    if target.task == "regression":
        return Predictions(target, values=_numbers(array, "the output"))
    if target.task == "binary" and _looks_like_probabilities(array, target):
        return _from_probabilities(_two_columns(_numbers(array, "the output"), target), target)
    return Predictions(target, codes=target.encode(array))


def _from_probabilities(matrix: Floats, target: Target) -> Predictions:
    if target.task == "binary":
        is_positive = matrix[:, target.positive_code] >= target.threshold
        codes = np.where(is_positive, target.positive_code, 1 - target.positive_code)
    else:
        codes = matrix.argmax(axis=1)
    return Predictions(target, codes=codes.astype(np.intp), probabilities=matrix)


def _two_columns(positive: Floats, target: Target) -> Floats:
    if ((positive < 0) | (positive > 1)).any():
        raise TrainingError(
            "probabilities must lie between 0 and 1; "
            f"the model returned {positive.min():g} to {positive.max():g}"
        )
    columns = [1 - positive, positive]
    return np.column_stack(columns if target.positive_code == 1 else columns[::-1])


def _checked_probabilities(matrix: Floats) -> Floats:
    sums = matrix.sum(axis=1)
    if (matrix < 0).any() or (np.abs(sums - 1) > _SUM_TOLERANCE).any():
        raise TrainingError(
            "the model's columns are not probabilities: "
            "each row must be non-negative and add up to 1"
        )
    probabilities: Floats = matrix / sums[:, None]
    return probabilities


def _looks_like_probabilities(array: npt.NDArray[Any], target: Target) -> bool:
    if array.dtype.kind != "f" or target.knows(array):
        return False
    return bool(((array >= 0) & (array <= 1)).all())


def _as_array(output: Any) -> npt.NDArray[Any]:
    if hasattr(output, "toarray"):  # scipy's sparse matrices
        output = output.toarray()
    try:
        return np.asarray(output)
    except ValueError as error:
        raise TrainingError(f"the model's output is not a table: {error}") from error


def _numbers(values: Any, name: str) -> Floats:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"{name} does not hold numbers: {error}") from error
    broken = int((~np.isfinite(numbers)).sum())
    if broken:
        raise TrainingError(
            f"{name} holds {broken} missing or infinite values among {numbers.size}"
        )
    return numbers


def _plain(label: Any) -> Label:
    value: Label = label.item() if isinstance(label, np.generic) else label
    return value


def _sort_key(label: Label) -> tuple[bool, Any]:
    """Numbers before texts, so that a column that mixes both still has an order."""
    return isinstance(label, str), label


def _listed(names: Sequence[Any] | pd.Index, most: int = 8) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
