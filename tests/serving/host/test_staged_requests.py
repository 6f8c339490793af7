"""A stage passes on a table that the next version gets as the stage answered it, or is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.load import LoadRefused, load
from cloche.serving.host.predictors.prediction_writer import ModelPredictions
from cloche.serving.host.staged_requests import (
    frame_of,
    frame_of_item,
    stage_table,
    write_table,
)
from cloche.serving.processes.frames import Item
from tests.lifecycle import make_stages

REFUSED: dict[str, tuple[Any, str]] = {
    "no names": ([1.0, 2.0], "values that have no name"),
    "too few rows": (pd.DataFrame({"b": [1.0]}), "it answered 2 with 1"),
    "a name twice": (pd.DataFrame([[1, 2], [3, 4]], columns=["b", "b"]), "columns named 'b'"),
    "dicts": (pd.DataFrame({"b": [{"k": 1.5}, {"j": "x"}]}), "dicts in the column 'b'"),
    "dicts in lists": (pd.DataFrame({"b": [[{"k": 1}], [{"j": 2}]]}), "dicts in the column 'b'"),
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


@pytest.mark.parametrize("cells", [[1.5, np.nan], [2**60, 1], [True, False]])
@pytest.mark.parametrize("columns", [1, 2, 4])
def test_numbers_of_one_type_arrive_as_they_were(cells: list[Any], columns: int) -> None:
    answered = pd.DataFrame({f"c{n}": cells for n in range(columns)})
    for start, end in ((0, 2), (1, 2)):
        written = write_table(ModelPredictions(answered, 2), start, end, "The stage s 1")
        passed = frame_of_item(Item("", b"", table=written.body))
        pd.testing.assert_frame_equal(passed, answered[start:end].reset_index(drop=True))


@pytest.mark.parametrize("others", [[1.5], pd.array([1], dtype="Int64")], ids=["plain", "Int64"])
def test_lists_arrive_as_lists_and_arrays_as_arrays(others: Any) -> None:
    lists: list[Any] = [None, [1, None], [2**60 + 1]]
    arrays = [np.array([1.5]), None, np.array([], dtype=float)]
    answered = pd.DataFrame({"lists": lists, "arrays": arrays, "other": [others[0]] * 3})
    if not isinstance(others, list):
        answered["other"] = answered["other"].astype(others.dtype)
    written = write_table(ModelPredictions(answered, 3), 0, 3, "The stage s 1")
    passed = frame_of_item(Item("", b"", table=written.body))
    assert passed["lists"].tolist() == lists
    assert [type(cell) for cell in passed["arrays"]] == [np.ndarray, type(None), np.ndarray]


@pytest.mark.parametrize("rows", [{"b": [[1], [2, 3]]}, [{"b": [1]}, {"b": [2, 3]}]])
def test_lists_of_a_stage_that_answers_no_frame_arrive_as_lists(rows: Any) -> None:
    passed = frame_of(stage_table(ModelPredictions(rows, 2), "The stage s 1"))
    assert passed["b"].tolist() == [[1], [2, 3]]


def test_a_stage_may_answer_what_no_protocol_writes(tmp_path: Path) -> None:
    make_stages.save(tmp_path / "s", 1, make_stages.STAGE)
    assert load(tmp_path / "s", as_stage=True).scorer.can_join
    with pytest.raises(LoadRefused, match=r"The model.s answer cannot be written.*Decimal"):
        load(tmp_path / "s")
