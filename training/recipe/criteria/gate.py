"""The list of the criteria: the section `gate` of a recipe or policy, with a key for each."""

from typing import Annotated

from pydantic import Field

from cloche.training.recipe.criteria.criterion import Criterion
from cloche.training.recipe.criteria.floors import Minimum, SliceFloor
from cloche.training.recipe.criteria.latency import Latency, Milliseconds
from cloche.training.recipe.criteria.not_worse import NotWorse
from cloche.training.recipe.sections import Section
from cloche.training.recipe.values import MetricName


class Gate(Section):
    """The criteria that a version must meet before it may serve. They are stored in the version.

    A new criterion is a module in this folder, with its key here and its line in `criteria`.

    Attributes:
        minimum: Metric → worst value accepted (the largest one if lower is better).
        not_worse: Comparison with production on the same rows; null disables it.
        slices: Floors for slices of the holdout.
        latency_ms: Limit for the median time of a one-row prediction, in milliseconds.
        resamples: Number of draws of the paired bootstrap.
    """

    minimum: dict[MetricName, float] = Field(default_factory=dict)
    not_worse: NotWorse | None = NotWorse()
    slices: Annotated[tuple[SliceFloor, ...], Field(strict=False)] = ()
    latency_ms: Milliseconds | None = None
    resamples: int = Field(default=500, ge=100)

    def criteria(self) -> tuple[Criterion, ...]:
        """Return every criterion that is asked for, in the order of the verdicts."""
        return (
            *(Minimum(metric, floor) for metric, floor in self.minimum.items()),
            *((self.not_worse,) if self.not_worse is not None else ()),
            *self.slices,
            *((Latency(self.latency_ms),) if self.latency_ms is not None else ()),
        )

    def metrics(self) -> list[tuple[str, str]]:
        """Return (key, metric) for each metric that a criterion needs, the compared one last."""
        criteria = sorted(self.criteria(), key=lambda criterion: criterion is self.not_worse)
        return [named for criterion in criteria for named in criterion.metrics().items()]

    def columns(self) -> tuple[str, ...]:
        """Return the columns that criteria need slices of."""
        return tuple(name for criterion in self.criteria() for name in criterion.columns())
