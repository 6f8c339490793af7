"""A day is red only when it is unlike the days that training saw: the profile meets the report."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cloche.drift.comparison import drifted
from cloche.drift.statistics import count
from cloche.serving.batch.report.render import document, render
from cloche.training.packaging.profile import profile
from cloche.training.recipe.sections import Columns

COLUMNS = Columns(numeric=("temperature", "weekday"), categorical=("airport",))


def table(first: str, days: int, seed: int) -> pd.DataFrame:
    """Days of 200 rows each: one weather and one weekday a day, and three airports."""
    random = np.random.default_rng(seed)
    when = pd.Series(np.repeat(pd.date_range(first, periods=days), 200))
    season = 10 * np.sin(when.dt.day_of_year / 58) + np.repeat(random.normal(0, 5, days), 200)
    return pd.DataFrame(
        {
            "when": when,
            "temperature": season + random.normal(0, 2, len(when)),
            "weekday": when.dt.day_of_week.astype(float),
            "airport": random.choice(["EWR", "JFK", "LGA"], len(when)),
        }
    )


def scores(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"probability": 1 / (1 + np.exp(-rows["temperature"] / 10))})


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """The profile of a year of days."""
    rows = table("2023-01-01", 365, seed=0)
    return profile(rows, COLUMNS, scores(rows), rows["when"])


def report(day: pd.DataFrame, seen: dict[str, Any]) -> dict[str, Any]:
    inputs = day.drop(columns="when").reset_index(drop=True)
    answers = pa.Table.from_pandas(scores(inputs).fillna(0.5), preserve_index=False)
    model = {"name": "m", "version": "1", "run_id": ""}
    record = {
        "job": {"model": model, "inputs": {}}, "rows": len(day), "scored": len(day),
        "refused": 0, "predictors": {"onnx": 0}, "reasons": {},
    }  # fmt: skip
    return document(record, count(inputs, answers, seen), seen)


def red(day: pd.DataFrame, seen: dict[str, Any]) -> list[str]:
    found = drifted(report(day, seen))
    return [*found["scores"], *found["columns"]]


def test_nearly_no_ordinary_day_of_the_next_year_is_red(seen):
    later = table("2024-01-01", 366, seed=1)

    days = [red(day, seen) for _, day in later.groupby("when")]

    assert sum(bool(names) for names in days) <= 0.05 * len(days)


def test_without_what_is_usual_for_a_day_each_of_them_was_red(seen):
    blind = {name: part for name, part in seen.items() if name != "pieces"}

    assert "weekday" in red(table("2024-03-01", 1, seed=2), blind)


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("temperature", lambda values: values * 10),
        ("temperature", lambda values: values * np.nan),
        ("airport", lambda values: values.mask(values.notna(), "JFK")),
        ("airport", lambda values: values.mask(values.index % 10 == 0, "HPN")),
    ],
    ids=["scaled by ten", "all missing", "from one airport", "a new category"],
)
def test_a_broken_column_is_red_and_no_other(
    column: str, change: Callable[[pd.Series], pd.Series], seen: dict[str, Any]
):
    day = table("2024-03-01", 1, seed=3)
    assert red(day, seen) == []

    broken = day.assign(**{column: change(day[column])})

    assert [name for name in red(broken, seen) if name != "probability"] == [column]


def test_a_few_rows_of_an_ordinary_day_are_not_red(seen):
    day = table("2024-03-01", 1, seed=4)

    assert [red(day.sample(10, random_state=at), seen) for at in range(20)] == [[]] * 20


def test_the_page_says_what_a_day_is_compared_with(seen):
    page = render(report(table("2024-03-01", 1, seed=5), seen))

    assert "Judged as a day: training had 365 of them" in page


def test_a_week_is_compared_with_weeks(seen):
    made = report(table("2024-03-04", 7, seed=6), seen)

    assert made["like"]["unit"] == "week"
