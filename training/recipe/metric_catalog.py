"""The closed lists that a recipe may choose from: tasks, metrics, roles.

Kept apart from the schema so that error messages, the documentation and the code that computes a
metric all read one list.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Task = Literal["binary", "multiclass", "regression"]
Role = Literal["numeric", "categorical", "text", "datetime"]

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Metric:
    """A measure of predictions against truth.

    Attributes:
        tasks: the tasks that it is defined for.
        greater_is_better: whether a larger value is a better model.
        needs: whether it is computed from labels, from probabilities, or from predicted values.
    """

    tasks: frozenset[Task]
    greater_is_better: bool
    needs: Literal["labels", "probabilities", "values"]


_BINARY: frozenset[Task] = frozenset({"binary"})
_CLASSES: frozenset[Task] = frozenset({"binary", "multiclass"})
_REGRESSION: frozenset[Task] = frozenset({"regression"})

METRICS: dict[str, Metric] = {
    "roc_auc": Metric(_CLASSES, greater_is_better=True, needs="probabilities"),
    "average_precision": Metric(_BINARY, greater_is_better=True, needs="probabilities"),
    "log_loss": Metric(_CLASSES, greater_is_better=False, needs="probabilities"),
    "brier": Metric(_BINARY, greater_is_better=False, needs="probabilities"),
    "accuracy": Metric(_CLASSES, greater_is_better=True, needs="labels"),
    "balanced_accuracy": Metric(_CLASSES, greater_is_better=True, needs="labels"),
    "f1": Metric(_CLASSES, greater_is_better=True, needs="labels"),
    "precision": Metric(_CLASSES, greater_is_better=True, needs="labels"),
    "recall": Metric(_CLASSES, greater_is_better=True, needs="labels"),
    "r2": Metric(_REGRESSION, greater_is_better=True, needs="values"),
    "mae": Metric(_REGRESSION, greater_is_better=False, needs="values"),
    "rmse": Metric(_REGRESSION, greater_is_better=False, needs="values"),
    "mape": Metric(_REGRESSION, greater_is_better=False, needs="values"),
}


def metrics_for(task: Task) -> list[str]:
    """Names of the metrics that are defined for `task`, in the order of the list above."""
    return [name for name, metric in METRICS.items() if task in metric.tasks]
