"""The sections of a recipe: frozen, validated records.

The module knows nothing of files, data or estimators' code; `load.py` turns YAML into these
records, and their validation errors into messages that name the key, the value and the fix.
"""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from cloche.training.recipe.metric_catalog import ROLES, Role
from cloche.training.recipe.values import (
    Day,
    DottedPath,
    MetricName,
    Names,
    Number,
    Scalar,
    Source,
)


class Section(BaseModel):
    """What sections share: unknown keys are errors, values do not change, no type is guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """Where the table comes from.

    Attributes:
        source: a path, glob, directory, `http(s)://` URL, SQLAlchemy URL, or `sample:NAME`;
            `${VARIABLE}` stands for an environment variable, so that no password is stored.
        format: `auto` goes by the source's name.
        query: the SQL to run; only with a SQLAlchemy URL, and needed there.
        options: handed to the reader of the format (`pandas.read_csv`, `pandas.read_parquet`).
    """

    source: Source
    format: Literal["auto", "csv", "parquet", "labelled-lines", "sql", "sample"] = "auto"
    query: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class TimeSplit(Section):
    """Train on one stretch of time, hold out a later one; rows outside both are left out.

    Attributes:
        column: the column that tells when.
        train: first and last day (inclusive), ISO dates.
        holdout: first and last day (inclusive), ISO dates.
    """

    by: Literal["time"]
    column: str
    train: Annotated[tuple[Day, Day], Field(strict=False)]
    holdout: Annotated[tuple[Day, Day], Field(strict=False)]

    @model_validator(mode="after")
    def _later_is_held_out(self) -> Self:
        for key, (first, last) in {"train": self.train, "holdout": self.holdout}.items():
            if date.fromisoformat(first) > date.fromisoformat(last):
                raise ValueError(f"{key} ends ({last}) before it begins ({first})")
        if date.fromisoformat(self.holdout[0]) <= date.fromisoformat(self.train[1]):
            raise ValueError(
                f"the holdout begins ({self.holdout[0]}) before the training days end "
                f"({self.train[1]}); hold out later days"
            )
        return self


class FractionSplit(Section):
    """Hold out a share of the rows, drawn with the recipe's seed.

    Attributes:
        holdout: the share.
        stratify: whether both sides get the same shares of the classes; without effect on a
            regression, which has none.
    """

    by: Literal["fraction"]
    holdout: float = Field(default=0.25, gt=0, lt=1)
    stratify: bool = True


class GroupSplit(Section):
    """Hold out a share of the groups, so that no group is on both sides."""

    by: Literal["group"]
    column: str
    holdout: float = Field(default=0.25, gt=0, lt=1)


def _kind_of_split(value: Any) -> Any:
    return value.get("by") if isinstance(value, dict) else getattr(value, "by", None)


Split = Annotated[
    Annotated[TimeSplit, Tag("time")]
    | Annotated[FractionSplit, Tag("fraction")]
    | Annotated[GroupSplit, Tag("group")],
    Discriminator(
        _kind_of_split,
        custom_error_type="kind",
        custom_error_message="needs the key `by`: time, fraction or group",
    ),
]


class Columns(Section):
    """The features by role. A column in none of them is not a feature."""

    numeric: Names = ()
    categorical: Names = ()
    text: Names = ()
    datetime: Names = ()

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
        names = self.features
        if not names:
            raise ValueError(
                "name at least one feature under numeric, categorical, text or datetime"
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"listed more than once: {', '.join(twice)}; keep one role for each")
        return self


class Text(Section):
    """How text columns become features: TF-IDF of words or of characters.

    Attributes:
        analyzer: what is counted: words, characters, or characters within words.
        ngrams: the shortest and the longest run of them.
        max_features: how many of the most frequent ones are kept for each column.
        min_count: rarer ones are dropped.
        lowercase: whether `Word` and `word` are the same.
        sublinear_tf: whether the n-th repetition counts less than the first.
    """

    analyzer: Literal["word", "char", "char_wb"] = "word"
    ngrams: Annotated[tuple[int, int], Field(strict=False)] = (1, 2)
    max_features: int = Field(default=50_000, gt=0)
    min_count: int = Field(default=2, gt=0)
    lowercase: bool = True
    sublinear_tf: bool = True

    @field_validator("ngrams")
    @classmethod
    def _shortest_first(cls, ngrams: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= ngrams[0] <= ngrams[1]:
            raise ValueError("expected the shortest length (1 or more) and the longest")
        return ngrams


class Estimator(Section):
    """Any scikit-learn compatible class.

    Attributes:
        class_: its dotted path.
        params: keyword arguments of its constructor.
        categories: how categorical columns are encoded; `auto` takes ordinal codes for trees and
            one-hot for the rest.
        trusted_types: classes outside scikit-learn and the estimator's own package that the stored
            model may contain.
    """

    class_: DottedPath = Field(alias="class")
    params: dict[str, Any] = Field(default_factory=dict)
    categories: Literal["auto", "onehot", "ordinal"] = "auto"
    trusted_types: Names = ()


class Range(Section):
    """An interval that a search draws from; whole numbers when both ends are."""

    low: Number
    high: Number
    log: bool = False

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range needs low above 0, not {self.low}")
        return self


def _kind_of_choice(value: Any) -> str | None:
    if isinstance(value, Range | dict):
        return "range"
    return "choices" if isinstance(value, list) else None


Choice = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[list[Scalar | None], Field(min_length=1), Tag("choices")],
    Discriminator(
        _kind_of_choice,
        custom_error_type="kind",
        custom_error_message="expected {low: …, high: …} or a list of choices",
    ),
]


class Search(Section):
    """Tuning on the training rows only.

    Attributes:
        trials: how many settings are tried, the estimator's own `params` first.
        seconds: no further trial starts after this long.
        validation: share of the training rows that trials are judged on: the latest ones when the
            split is by time, whole groups when it is by group, drawn at random otherwise.
        space: estimator parameter → range, or list of choices.
    """

    trials: int = Field(default=20, gt=0)
    seconds: float = Field(default=600, gt=0)
    validation: float = Field(default=0.25, gt=0, lt=1)
    space: dict[str, Choice] = Field(min_length=1)


class Checks(Section):
    """What the checks of the table let pass, because somebody looked and knows better.

    Attributes:
        accept_leakage: features that give the target away, and may.
        duplicates: share of the holdout rows that may be copies of training rows.
    """

    accept_leakage: Names = ()
    duplicates: float = Field(default=0.01, ge=0, le=1)


class NotWorse(Section):
    """Not worse than what serves now by more than a margin, beyond what noise explains.

    Attributes:
        metric: the metric to compare; the recipe's first one by default.
        margin: how much worse than production is still accepted, in the metric's own units.
        confidence: of the one-sided bound on the paired difference.
    """

    metric: MetricName | None = None
    margin: float = Field(default=0.005, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)


class SliceFloor(Section):
    """A floor for a metric in every part of the holdout that shares a value of `column`.

    Attributes:
        column: the column whose values make the slices.
        metric: the metric to hold.
        minimum: the worst value accepted (the largest one for metrics where lower is better).
        min_rows: smaller slices are reported and not judged.
    """

    column: str
    metric: MetricName
    minimum: float
    min_rows: int = Field(default=200, gt=0)


class Gate(Section):
    """The criteria that a version must meet before it may serve. They travel with the version.

    Attributes:
        minimum: metric → the worst value accepted (the largest one where lower is better).
        not_worse: comparison with production on the same rows; null switches it off.
        slices: floors for parts of the holdout.
        latency_ms: budget for the median time of a one-row prediction through MLflow's pyfunc, in
            milliseconds. What other programs on a busy machine make it wait for a core is not
            counted, where the system tells that (Linux).
        resamples: of the paired bootstrap.
    """

    minimum: dict[MetricName, float] = Field(default_factory=dict)
    not_worse: NotWorse | None = NotWorse()
    slices: Annotated[tuple[SliceFloor, ...], Field(strict=False)] = ()
    latency_ms: float | None = Field(default=None, gt=0)
    resamples: int = Field(default=500, ge=100)
