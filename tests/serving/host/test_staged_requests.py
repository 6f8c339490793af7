"""A stage passes on a table that the next version gets as the stage answered it, or is refused."""

from typing import Any

import pandas as pd
import pytest

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.predictors.prediction_writer import ModelPredictions
from cloche.serving.host.staged_requests import frame_of, stage_table

REFUSED: dict[str, tuple[Any, str]] = {
    "no names": ([1.0, 2.0], "values that have no name"),
    "too few rows": (pd.DataFrame({"b": [1.0]}), "it answered 2 with 1"),
    "a name twice": (pd.DataFrame([[1, 2], [3, 4]], columns=["b", "b"]), "columns named 'b'"),
    "dicts": (pd.DataFrame({"b": [{"k": 1.5}, {"j": "x"}]}), "dicts in the column 'b'"),
}


@pytest.mark.parametrize("answer", REFUSED)
def test_what_would_not_arrive_as_it_was_is_refused(answer: str) -> None:
    raw, said = REFUSED[answer]
    with pytest.raises(RequestRefused, match=f"^The stage s 1 .*{said}"):
        stage_table(ModelPredictions(raw, 2), "The stage s 1")


@pytest.mark.parametrize(
    "cells",
    [
        pd.Series([2**60 + 1, None], dtype=object),
        pd.Series([2**60 + 1, None], dtype="Int64"),
        pd.Series(["a", None], dtype=object),
        pd.Series([b"\0", b"a"]),
        pd.Series(pd.to_datetime(["2013-01-01", None])),
        pd.Series(["a", "b"], dtype="category"),
        pd.Series([True, False]),
        pd.Series([1.5, float("nan")], dtype="float32"),
    ],
    ids=lambda cells: f"{cells.dtype} {cells[0]!r}",
)
def test_the_next_version_gets_the_values_of_the_stage(cells: "pd.Series[Any]") -> None:
    answered = pd.DataFrame({"b": cells}, index=[7, 3])
    answered["b"] = cells.to_numpy(dtype=object) if cells.dtype == object else cells.array

    passed = frame_of(stage_table(ModelPredictions(answered, 2), "The stage s 1"))

    assert list(passed.index) == [0, 1]
    mine, theirs = answered["b"].tolist(), passed["b"].tolist()
    assert [pd.isna(cell) for cell in mine] == [pd.isna(cell) for cell in theirs]
    kept = [pair for pair in zip(mine, theirs, strict=True) if not pd.isna(pair[0])]
    assert all(one == other and type(one) is type(other) for one, other in kept)
