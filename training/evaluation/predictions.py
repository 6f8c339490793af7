"""The predictions of any model in one form, together with the true values.

This module knows nothing of metrics, and nothing of how a model is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from cloche.training.errors import TrainingError
from cloche.training.recipe.metric_catalog import Task

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Label = bool | int | float | str


@dataclass(frozen=True)
class TargetSpec:
    """Description of the target that a model predicts.

    Attributes:
        task: Kind of the task: binary, multiclass or regression.
        classes: Every label, in the order of a model's probability columns; empty for regression.
        positive: Label whose probability is predicted, for a binary task.
        threshold: Smallest probability that means the positive label, for a binary task and a model
            that returns probabilities only.
        answers: Pairs of a model's answer and the label that it stands for; labels that the model
            returns unchanged need no pair.
    """

    task: Task
    classes: tuple[Label, ...] = ()
    positive: Label | None = None
    threshold: float = 0.5
    answers: tuple[tuple[Label, Label], ...] = ()

    def __post_init__(self) -> None:
        if self.task == "binary" and len(self.classes) != 2:
            raise TrainingError(
                f"a binary target has two labels, and this one has {len(self.classes)}: "
                f"{quote_names(self.classes)}"
            )
        if self.task == "binary" and self.positive not in self.classes:
            raise TrainingError(
                f"the positive label {self.positive!r} is not one of {quote_names(self.classes)}"
            )

    @classmethod
    def from_column(
        cls,
        task: Task,
        values: Any,
        *,
        positive: Label | None = None,
        threshold: float = 0.5,
    ) -> Self:
        """Return the target that a column of the table holds, with its labels in sorted order.

        Of two labels the greater one is positive unless `positive` says otherwise.

        Raises:
            TrainingError: The column does not fit the task.
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
        """The position of the positive label in `classes`."""
        return self.classes.index(self.positive)

    def encode(self, values: Any) -> Codes:
        """Return labels as positions in `classes`, shape (n,).

        Labels that were stored in a file or passed through a schema may have changed type; `1`,
        `1.0`, `True` and `"1"` name one class as long as no other class has the same text.

        Raises:
            TrainingError: A label is missing or not one of the classes.
        """
        return self._codes(values, {})

    def encode_answers(self, values: Any) -> Codes:
        """Return a model's answers as positions in `classes`, shape (n,); see `answers`.

        Raises:
            TrainingError: An answer is missing or stands for none of the classes.
        """
        return self._codes(values, dict(self.answers))

    def _codes(self, values: Any, meant: Mapping[Label, Label]) -> Codes:
        codes, uniques = pd.factorize(np.asarray(values))
        if (codes < 0).any():
            raise TrainingError(f"{int((codes < 0).sum())} of {len(codes)} labels are missing")
        by_value = {label: code for code, label in enumerate(self.classes)}
        by_value |= {answer: self.classes.index(label) for answer, label in meant.items()}
        by_text = {str(label): code for label, code in by_value.items()}
        lookup = np.empty(len(uniques), dtype=np.intp)
        for position, unique in enumerate(uniques):
            label = _plain(unique)
            code = by_value.get(label, by_text.get(str(label)))
            if code is None:
                raise TrainingError(
                    f"label {label!r} is not one of the target's: {quote_names(self.classes)}; "
                    "where a model answers by other names, say in the policy which it means, like "
                    f"labels: {{{label!r}: {self.classes[0]!r}, …}}"
                )
            lookup[position] = code
        return lookup[codes]

    def knows(self, values: Any) -> bool:
        """Return whether every value is a possible answer of a model for a label of this target."""
        try:
            self.encode_answers(values)
        except TrainingError:
            return False
        return True


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model for n rows.

    Attributes:
        target: Description of the target.
        codes: Predicted labels as positions in `target.classes`, shape (n,); None for regression.
        values: Predicted numbers, shape (n,); None unless regression.
        probabilities: Probabilities of the classes, shape (n, classes), whose rows add up to one;
            None if the model returns none.
    """

    target: TargetSpec
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
        """Return the probability of the positive label, shape (n,), for a binary task.

        Raises:
            TrainingError: The model returns no probabilities.
        """
        if self.probabilities is None:
            raise TrainingError("the model gives labels only, no probabilities")
        column: Floats = self.probabilities[:, self.target.positive_code]
        return column

    def take(self, rows: npt.NDArray[Any]) -> "Predictions":
        """Return the predictions for some rows, given as positions or as a mask."""
        return Predictions(
            self.target,
            None if self.codes is None else self.codes[rows],
            None if self.values is None else self.values[rows],
            None if self.probabilities is None else self.probabilities[rows],
        )


@dataclass(frozen=True)
class Pairs:
    """Pairs of a true value and a prediction, one for each row.

    Attributes:
        truth: True values: positions in `target.classes`, or numbers for regression; shape (n,).
        predictions: Predictions for the same rows in the same order.
    """

    truth: npt.NDArray[Any]
    predictions: Predictions

    @classmethod
    def pair(cls, truth: Any, predictions: Predictions) -> Self:
        """Pair the target column of a table with the predictions for its rows.

        Raises:
            TrainingError: A value is missing or not a label of the target, or the numbers of rows
                differ.
        """
        target = predictions.target
        encoded = (
            to_floats(truth, "the target") if target.task == "regression" else target.encode(truth)
        )
        if len(encoded) != len(predictions):
            raise TrainingError(
                f"{len(predictions)} predictions for {len(encoded)} rows of the target"
            )
        return cls(encoded, predictions)

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: npt.NDArray[Any]) -> "Pairs":
        """Return the pairs for some rows, given as positions or as a mask."""
        return Pairs(self.truth[rows], self.predictions.take(rows))


def to_floats(values: Any, name: str) -> Floats:
    """Return `values` as float64.

    Raises:
        TrainingError: A value is missing, infinite or not a number.
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        # The error's own text would show a value of a row.
        raise TrainingError(f"{name} does not hold numbers, but {_kinds(values)}") from error
    broken = int((~np.isfinite(numbers)).sum())
    if broken:
        raise TrainingError(
            f"{name} holds {broken} missing or infinite values among {numbers.size}"
        )
    return numbers


def _kinds(values: Any) -> str:
    """Return the names of the Python types that a column contains."""
    return ", ".join(
        sorted({type(value).__name__ for value in np.ravel(np.asarray(values, object))})
    )


def _plain(label: Any) -> Label:
    value: Label = label.item() if isinstance(label, np.generic) else label
    return value


def _sort_key(label: Label) -> tuple[bool, Any]:
    """Sort numbers before texts, so that a column that mixes both still has an order."""
    return isinstance(label, str), label


def quote_names(names: Sequence[Any] | pd.Index, most: int = 8) -> str:
    """Return the first names for a message, and how many more there are."""
    shown = ", ".join(repr(name) for name in list(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
