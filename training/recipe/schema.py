"""The recipe: frozen, validated records, one for each section of the YAML file.

The module knows nothing of files, data or estimators' code; `training.recipe.load` turns YAML into these records and
their validation errors into messages that name the key, the value and the fix.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from training.recipe.vocabulary import METRICS, ROLES, Role, Task, metrics_for

Scalar = bool | int | float | str


class Section(BaseModel):
    """What all sections share: unknown keys are errors, values do not change, types are not guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """Where the table comes from.

    Attributes:
        source: a path, glob, directory, `http(s)://` URL, SQLAlchemy URL, or `sample:NAME`.
        format: `auto` goes by the source's name.
        query: the SQL to run; only with a SQLAlchemy URL, and needed there.
        options: handed to the reader of the format (`pandas.read_csv`, `pandas.read_parquet`).
    """

    source: str = Field(min_length=1)
    format: Literal["auto", "csv", "parquet", "labelled-lines", "sql", "sample"] = "auto"
    query: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class TimeSplit(Section):
    """Train on one stretch of time, hold out a later one; rows outside both are left out of training altogether.

    Attributes:
        column: the column that tells when.
        train: first and last day (inclusive), ISO dates.
        holdout: first and last day (inclusive), ISO dates.
    """

    by: Literal["time"]
    column: str
    train: tuple[str, str]
    holdout: tuple[str, str]


class FractionSplit(Section):
    """Hold out a share of the rows, drawn with the recipe's seed."""

    by: Literal["fraction"]
    holdout: float = Field(default=0.25, gt=0, lt=1)
    stratify: bool = True


class GroupSplit(Section):
    """Hold out a share of the groups, so that no group is on both sides."""

    by: Literal["group"]
    column: str
    holdout: float = Field(default=0.25, gt=0, lt=1)


Split = Annotated[TimeSplit | FractionSplit | GroupSplit, Field(discriminator="by")]


class Columns(Section):
    """The features by role. A column in none of them is not a feature."""

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """All feature columns, in the order of the roles and, within one, of the recipe."""
        return tuple(name for role in ROLES for name in self.of(role))

    def of(self, role: Role) -> tuple[str, ...]:
        """The columns that have `role`."""
        columns: tuple[str, ...] = getattr(self, role)
        return columns

    @model_validator(mode="after")
    def _each_column_once(self) -> Self:
        names = list(self.features)
        if not names:
            raise ValueError(
                "name at least one feature under numeric, categorical, text or datetime"
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"listed more than once: {', '.join(twice)}; keep one role for each")
        return self


class Text(Section):
    """How text columns become features: TF-IDF of words or of characters."""

    analyzer: Literal["word", "char", "char_wb"] = "word"
    ngrams: tuple[int, int] = (1, 2)
    max_features: int = Field(default=50_000, gt=0)
    min_count: int = Field(default=2, gt=0)


class Estimator(Section):
    """Any scikit-learn compatible class.

    Attributes:
        class_: its dotted path.
        params: keyword arguments of its constructor.
        categories: how categorical columns are encoded; `auto` takes ordinal codes for trees and one-hot for the rest.
        trusted_types: classes outside scikit-learn and the estimator's own package that the stored model may contain.
    """

    class_: str = Field(alias="class", pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
    params: dict[str, Any] = Field(default_factory=dict)
    categories: Literal["auto", "onehot", "ordinal"] = "auto"
    trusted_types: tuple[str, ...] = ()


class Range(Section):
    """An interval that a search draws from; whole numbers when both ends are."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range needs low above 0, not {self.low}")
        return self


class Search(Section):
    """Tuning on the training rows only.

    Attributes:
        trials: how many settings are tried, the estimator's own `params` first.
        seconds: no further trial starts after this long.
        validation: share of the training rows that trials are judged on: the latest ones when the split is by time,
            whole groups when it is by group, drawn at random otherwise.
        space: estimator parameter → range, or list of choices.
    """

    trials: int = Field(default=20, gt=0)
    seconds: float = Field(default=600, gt=0)
    validation: float = Field(default=0.25, gt=0, lt=1)
    space: dict[str, Range | list[Scalar | None]] = Field(min_length=1)

    @field_validator("space")
    @classmethod
    def _choices_are_given(
        cls, space: dict[str, Range | list[Scalar | None]]
    ) -> dict[str, Range | list[Scalar | None]]:
        empty = [name for name, values in space.items() if isinstance(values, list) and not values]
        if empty:
            raise ValueError(
                f"no choices for {', '.join(empty)}; give a list of values, or low and high"
            )
        return space


class NotWorse(Section):
    """Not worse than what serves now, by the recipe's first metric or the one named, beyond what noise explains.

    Attributes:
        metric: the metric to compare; the recipe's first one by default.
        margin: how much worse than production is still accepted, in the metric's own units.
        confidence: of the one-sided bound on the paired difference.
    """

    metric: str | None = None
    margin: float = Field(default=0.005, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)


class SliceFloor(Section):
    """A floor that a metric must reach in every part of the holdout that shares a value of `column`.

    Attributes:
        column: the column whose values make the slices.
        metric: the metric to hold.
        minimum: the worst value accepted (the largest one for metrics where lower is better).
        min_rows: smaller slices are reported and not judged.
    """

    column: str
    metric: str
    minimum: float
    min_rows: int = Field(default=200, gt=0)


class Gate(Section):
    """The criteria that a version must meet before it may serve. They travel with the version.

    Attributes:
        minimum: metric → the worst value accepted (the largest one for metrics where lower is better).
        not_worse: comparison with production on the same rows; null switches it off.
        slices: floors for parts of the holdout.
        latency_ms: budget for the median time of a one-row prediction through MLflow's pyfunc, in milliseconds.
        resamples: of the paired bootstrap.
    """

    minimum: dict[str, float] = Field(default_factory=dict)
    not_worse: NotWorse | None = NotWorse()
    slices: tuple[SliceFloor, ...] = ()
    latency_ms: float | None = Field(default=None, gt=0)
    resamples: int = Field(default=500, ge=100)


class Recipe(Section):
    """What to train.

    Attributes:
        name: of the registered model.
        positive: for a binary task, the label whose probability is predicted; the greater of the two by default.
        threshold: for a binary task, the probability from which on the positive label is predicted.
        slices: columns whose values are evaluated one by one; they need not be features.
        metrics: the first one is what a search tunes and what production is compared by.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    task: Task
    data: Data
    target: str
    positive: Scalar | None = None
    threshold: float = Field(default=0.5, gt=0, lt=1)
    split: Split
    columns: Columns
    text: Text = Text()
    estimator: Estimator
    search: Search | None = None
    slices: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    gate: Gate = Gate()
    seed: int = 42

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        problems = []
        known = metrics_for(self.task)
        named = {
            "metrics": list(self.metrics),
            "gate.minimum": list(self.gate.minimum),
            "gate.slices": [floor.metric for floor in self.gate.slices],
            "gate.not_worse.metric": [self.gate.not_worse.metric]
            if self.gate.not_worse and self.gate.not_worse.metric
            else [],
        }
        for key, names in named.items():
            for name in names:
                if name not in METRICS:
                    problems.append(
                        f"{key}: unknown metric {name!r}; for {self.task} there are {', '.join(known)}"
                    )
                elif name not in known:
                    problems.append(
                        f"{key}: {name!r} is not defined for {self.task}; take one of {', '.join(known)}"
                    )
        if self.target in self.columns.features:
            problems.append(f"columns: {self.target!r} is the target; remove it from the features")
        if self.positive is not None and self.task != "binary":
            problems.append(
                f"positive: only a binary task has a positive label, and this one is {self.task}; remove it"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def primary_metric(self) -> str:
        """The metric that a search tunes and the gate compares by."""
        return (self.metrics or tuple(metrics_for(self.task)))[0]
