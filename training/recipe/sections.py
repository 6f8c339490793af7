"""The sections of a recipe: frozen, validated records.

This module knows nothing of files, data or the code of estimators. `load.py` converts YAML to these
records, and their validation errors to messages that name the key, the value and the fix.
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
from cloche.training.recipe.values import Day, DottedPath, Names, Number, Scalar, Source


class Section(BaseModel):
    """Base class of sections: no unknown keys, immutable values, and no conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """The source of the table.

    Attributes:
        source: A path, glob, directory, `http(s)://` URL, SQLAlchemy URL, `sample:NAME`, or
            `log:NAME`, which is what servers logged of a model with the labels that have arrived;
            `${VARIABLE}` stands for an environment variable, so that no password is stored.
        format: Format of the source; `auto` derives it from the source's name.
        query: SQL query for the rows; required with a SQLAlchemy URL, and refused otherwise.
        options: Options for the reader of the format (`pandas.read_csv`, `pandas.read_parquet`).
    """

    source: Source
    format: Literal["auto", "csv", "parquet", "labelled-lines", "sql", "sample"] = "auto"
    query: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class TimeSplit(Section):
    """Train on one range of days, hold out a later one; rows outside both are left out.

    Attributes:
        by: Kind of the split.
        column: Column with the time of each row.
        train: First and last day (inclusive) of the training rows, ISO dates.
        holdout: First and last day (inclusive) of the holdout, ISO dates.
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
        by: Kind of the split.
        holdout: Share of the rows that is held out.
        stratify: Whether both sides get the same shares of the classes; it has no effect on a
            regression, which has no classes.
    """

    by: Literal["fraction"]
    holdout: float = Field(default=0.25, gt=0, lt=1)
    stratify: bool = True


class GroupSplit(Section):
    """Hold out a share of the groups, so that no group is on both sides.

    Attributes:
        by: Kind of the split.
        column: Column with the group of each row.
        holdout: Share of the groups that is held out.
    """

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
    """The features by role. A column without a role is not a feature."""

    numeric: Names = ()
    categorical: Names = ()
    text: Names = ()
    datetime: Names = ()

    @property
    def features(self) -> tuple[str, ...]:
        """All feature columns, in the order of the roles and, within a role, of the recipe."""
        return tuple(name for role in ROLES for name in self.with_role(role))

    def with_role(self, role: Role) -> tuple[str, ...]:
        """Return the columns that have `role`."""
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
        analyzer: Units that are counted: words, characters, or characters within words.
        ngrams: Shortest and longest sequence of units that is counted.
        max_features: Number of the most frequent sequences that are kept for each column.
        min_count: Fewest rows in which a kept sequence occurs.
        lowercase: Whether `Word` and `word` are the same.
        sublinear_tf: Whether the n-th repetition counts less than the first.
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
    """A class that is compatible with scikit-learn.

    Attributes:
        class_: Dotted path of the class.
        params: Keyword arguments of the constructor.
        categories: Encoding of categorical columns; `auto` uses ordinal codes for trees and one-hot
            for all others.
        trusted_types: Classes outside scikit-learn and the estimator's own package that the stored
            model may contain.
    """

    class_: DottedPath = Field(alias="class")
    params: dict[str, Any] = Field(default_factory=dict)
    categories: Literal["auto", "onehot", "ordinal"] = "auto"
    trusted_types: Names = ()


class Range(Section):
    """An interval from which a search draws; integers if both ends are integers.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether values are drawn on a logarithmic scale.
    """

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
    """A search for the estimator's parameters, on the training rows only.

    Attributes:
        trials: Number of settings that are tried; the first one is the estimator's own `params`.
        seconds: Time after which no further trial starts.
        validation: Share of the training rows that trials are judged on: the latest ones if the
            split is by time, whole groups if it is by group, drawn at random otherwise.
        space: Estimator parameter → range, or list of choices.
    """

    trials: int = Field(default=20, gt=0)
    seconds: float = Field(default=600, gt=0)
    validation: float = Field(default=0.25, gt=0, lt=1)
    space: dict[str, Choice] = Field(min_length=1)


class Checks(Section):
    """Findings that the checks of the table accept, because a user has reviewed them.

    Attributes:
        accept_leakage: Features that may reveal the target.
        duplicates: Share of the holdout rows that may be copies of training rows.
    """

    accept_leakage: Names = ()
    duplicates: float = Field(default=0.01, ge=0, le=1)
