"""Generates adversarial rows: those on which a twin would most likely differ from its original."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cloche.training.acceleration.conversion.trees import consists_of_trees, thresholds
from cloche.training.acceleration.original_model import Input, OriginalModel
from cloche.training.acceleration.proof.input_domain import Domain

THRESHOLDS = 200  # most thresholds of one column that are tested, evenly spread over all of them
BASES = 50  # number of real rows into which adversarial values are put
_MIXTURES = 300

_NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 1e-310, 1e-45, -1e-45, 1e-35, -1e-35, 0.1, 1e15, -1e15,
    2.0**53 + 2,
    1e38, -1e38, 3.4e38, 3.5e38, 1e39, 1e308, -1e308, np.inf, -np.inf, np.nan,
)  # fmt: skip
_TEXTS = (
    "", " ", "\0", "\t\n", "nan", "None", "0", "5", "5.0", "-1", "1e5", "a", "A a", "é", "e\u0301",
    "İstanbul ß ﬁ", "한국어 단어", "\u200b", "\U0001f600 smile", "it's  well-known: a_b, c.d!",
    "unseen", "#", "x" * 70_000, "word " * 5_000,
)  # fmt: skip


def make_adversarial_rows(
    original: OriginalModel, real: pd.DataFrame, domain: Domain, *, seed: int
) -> Iterator[pd.DataFrame]:
    """Yield tables of adversarial rows; each row is a real one with adversarial values put in."""
    columns = [one.column for one in original.inputs]
    bases = real[columns].head(BASES).astype(object)
    strange = {one.column: _adversarial(one, real[one.column], domain) for one in original.inputs}
    aimed = _thresholds(original)
    for one in original.inputs:
        near = _around(aimed[one.column]) if one.tensor == "double" and one.column in aimed else []
        rows = _put(bases, one.column, [*strange[one.column], *near])
        yield _typed(rows, original.inputs)
    rng = np.random.default_rng(seed)
    rows = bases.iloc[rng.integers(len(bases), size=_MIXTURES)].reset_index(drop=True)
    for name in columns:
        values = strange[name]
        chosen = rng.random(len(rows)) < rng.choice([0.1, 0.5, 1.0], size=len(rows))
        for at in np.flatnonzero(chosen):
            rows.loc[at, name] = values[rng.integers(len(values))]
    yield _typed(rows, original.inputs)
    yield _typed(bases.head(1).assign(**dict.fromkeys(columns)), original.inputs)


def _adversarial(one: Input, real: pd.Series, domain: Domain) -> list[Any]:
    present = real.dropna()
    if one.tensor == "string" and not one.whole:
        known = [str(value) for value in present.unique()[:20]]
        variants = (f(text) for text in known[:5] for f in _VARIANTS)
        return [None, *_TEXTS, *known, *variants]
    if one.tensor != "double":
        numbers = [int(value) for value in present.unique()[:20]]
        return [None, *numbers, 0, -1, 7, 2**31 - 1, -(2**63), 2**63 - 1]
    values = present.to_numpy(dtype=np.float64)
    limit = domain.limits[one.column]
    with np.errstate(over="ignore"):  # the limit may be the largest number
        edges = [limit, -limit, np.nextafter(limit, np.inf)]
    quantiles = np.quantile(values, np.linspace(0, 1, 9)) if len(values) else []
    nearby = (limit / 2, -limit / 2, limit / 1000) if np.isfinite(limit) else ()
    return [None, *_NUMBERS, *map(float, edges), *map(float, quantiles), *nearby]


_VARIANTS = (
    str.upper,
    str.lower,
    str.title,
    lambda t: f"{t}\0",
    lambda t: f" {t} ",
    lambda t: t * 2,
)


def _thresholds(original: OriginalModel) -> dict[str, npt.NDArray[np.float64]]:
    """Return the thresholds of the trees for each column, in the column's own units."""
    steps = getattr(original.pipeline, "steps", [("", original.pipeline)])
    last, first = steps[-1][1], steps[0][1]
    if not consists_of_trees(last):
        return {}
    names = [one.column for one in original.inputs]
    places: dict[int, tuple[str, Any, int, int]] = {}
    if hasattr(first, "output_indices_"):
        for step, transformer, columns in first.transformers_:
            at = first.output_indices_[step]
            chosen = [columns] if isinstance(columns, str) else list(columns)
            if at.stop - at.start == len(chosen):
                for offset, column in enumerate(chosen):
                    name = names[column] if isinstance(column, int) else str(column)
                    places[at.start + offset] = (name, transformer, offset, len(chosen))
    elif len(steps) == 1:
        places = {at: (name, None, at, len(names)) for at, name in enumerate(names)}
    found = {}
    for feature, values in thresholds(last):
        if feature in places:
            name, transformer, offset, width = places[feature]
            found[name] = _undo(transformer, values, offset, width)
    return found


def _undo(
    transformer: Any, values: npt.NDArray[np.float64], offset: int, width: int
) -> npt.NDArray[np.float64]:
    """Return the thresholds as they were before scaling; encoders and imputers keep them."""
    steps = [step for _, step in getattr(transformer, "steps", [("", transformer)])]
    for step in reversed(steps):
        if hasattr(step, "scale_"):
            table = np.zeros((len(values), width))
            table[:, offset] = values
            values = step.inverse_transform(table)[:, offset]
    return values


def _around(values: npt.NDArray[np.float64]) -> list[float]:
    """Return each threshold, its float64 neighbours, and values that float32 rounds across it."""
    spread = values[np.unique(np.linspace(0, len(values) - 1, THRESHOLDS).astype(int))]
    with np.errstate(over="ignore"):
        single = spread.astype(np.float32)
        edges = [spread]
        for towards in (np.float32(-np.inf), np.float32(np.inf)):
            middle = (single.astype(np.float64) + np.nextafter(single, towards)) / 2
            edges.append(middle[np.isfinite(middle)])
        points = np.concatenate([*edges, single.astype(np.float64)])
        around = [points, np.nextafter(points, -np.inf), np.nextafter(points, np.inf)]
    return [float(value) for value in np.unique(np.concatenate(around))]


def _put(bases: pd.DataFrame, column: str, values: Sequence[Any]) -> pd.DataFrame:
    at = list(islice(cycle(range(len(bases))), len(values)))
    rows = bases.iloc[at].reset_index(drop=True)
    rows[column] = pd.Series(list(values), dtype=object)
    return rows


def _typed(rows: pd.DataFrame, inputs: Sequence[Input]) -> pd.DataFrame:
    """Return rows with the types that schema enforcement gives; numbers are always float64."""
    typed: dict[str, Any] = {}
    for one in inputs:
        column = rows[one.column]
        if one.tensor == "double":
            typed[one.column] = column.astype(np.float64)
        elif one.whole and not column.isna().any():
            typed[one.column] = column.astype(np.int64)
        else:
            typed[one.column] = column.where(column.notna(), None)
    return pd.DataFrame(typed)
