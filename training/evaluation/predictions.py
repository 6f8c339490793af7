"""What a model said about some rows, in one form for all models, and what came true.

The module knows nothing of metrics, and nothing of how a model is loaded.
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
    """What is predicted.

    Attributes:
        task: binary, multiclass or regression.
        classes: every label, in the order of a model's probability columns; empty for regression.
        positive: for a binary task, the label whose probability is asked for.
        threshold: for a binary task, the probability from which on the positive label is meant,
            where a model returns probabilities only.
        answers: what a model answers, and the label that it means by that; labels that are answered
            as they are need no pair.
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
                f"{listed(self.classes)}"
            )
        if self.task == "binary" and self.positive not in self.classes:
            raise TrainingError(
                f"the positive label {self.positive!r} is not one of {listed(self.classes)}"
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
        return self._codes(values, {})

    def encode_answers(self, values: Any) -> Codes:
        """What a model answered as positions in `classes`, shape (n,); see `answers`.

        Raises:
            TrainingError: as `encode` does.
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
                    f"label {label!r} is not one of the target's: {listed(self.classes)}; where a "
                    "model answers by other names, say in the policy which it means, like "
                    f"labels: {{{label!r}: {self.classes[0]!r}, …}}"
                )
            lookup[position] = code
        return lookup[codes]

    def knows(self, values: Any) -> bool:
        """Whether every value is what a model may answer for a label of this target."""
        try:
            self.encode_answers(values)
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
            numbers_of(truth, "the target") if target.task == "regression" else target.encode(truth)
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


def numbers_of(values: Any, name: str) -> Floats:
    """`values` as float64.

    Raises:
        TrainingError: one is missing, infinite or no number.
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        # The error's own text would show a value.
        raise TrainingError(f"{name} does not hold numbers, but {_kinds(values)}") from error
    broken = int((~np.isfinite(numbers)).sum())
    if broken:
        raise TrainingError(
            f"{name} holds {broken} missing or infinite values among {numbers.size}"
        )
    return numbers


def _kinds(values: Any) -> str:
    """Which kinds of Python objects a column holds."""
    return ", ".join(
        sorted({type(value).__name__ for value in np.ravel(np.asarray(values, object))})
    )


def _plain(label: Any) -> Label:
    value: Label = label.item() if isinstance(label, np.generic) else label
    return value


def _sort_key(label: Label) -> tuple[bool, Any]:
    """Numbers before texts, so that a column that mixes both still has an order."""
    return isinstance(label, str), label


def listed(names: Sequence[Any] | pd.Index, most: int = 8) -> str:
    """The first names for a message, and how many more there are."""
    shown = ", ".join(repr(name) for name in list(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
