"""The closed lists that a recipe can choose from: tasks, metrics, roles.

They are separate from the schema so that error messages, the documentation and the code that
computes a metric all use the same list.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Task = Literal["binary", "multiclass", "regression"]
Role = Literal["numeric", "categorical", "text", "datetime"]

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Metric:
    """A measure of predictions against the true values.

    Attributes:
        tasks: Tasks for which the metric is defined.
        greater_is_better: Whether a larger value means a better model.
        needs: What the metric is computed from: labels, probabilities, or predicted values.
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
    """Return names of the metrics that are defined for `task`, in the order of `METRICS`."""
    return [name for name, metric in METRICS.items() if task in metric.tasks]
