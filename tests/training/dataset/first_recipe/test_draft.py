"""First recipes for tables that nobody described: they load, and their checks pass."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cloche.training.dataset.first_recipe.column_roles import guess_role
from cloche.training.dataset.first_recipe.draft import draft_recipe, guess_target
from cloche.training.dataset.reading.table import Table
from cloche.training.dataset.split import split
from cloche.training.errors import DataError
from cloche.training.recipe.load import load_recipe
from cloche.training.recipe.sections import Data, FractionSplit, TimeSplit

ROWS = 300


@pytest.fixture
def shop() -> pd.DataFrame:
    """Orders with one column of every kind."""
    draw = np.random.default_rng(3)
    words = np.array(["late", "box", "nice", "broken", "thanks", "never", "again", "good"])
    spent = draw.gamma(2, 40, ROWS)
    return pd.DataFrame(
        {
            "order_id": range(1000, 1000 + ROWS),
            "ordered_at": pd.date_range("2022-01-01", periods=ROWS, freq="D").astype(str),
            "spent": spent,
            "items": draw.integers(1, 9, ROWS),
            "country": draw.choice(["KR", "JP", "US"], ROWS),
            "gift": draw.random(ROWS) < 0.3,
            "review": [" ".join(draw.choice(words, 7)) for _ in range(ROWS)],
            "token": [f"{draw.integers(1e12):x}" for _ in range(ROWS)],
            "empty": np.nan,
            "currency": "KRW",
            "born": pd.to_datetime("1960-01-01")
            + pd.to_timedelta(draw.integers(0, 9999, ROWS), unit="D"),
            "returned": draw.choice(["yes", "no"], ROWS),
        }
    )


def draft(frame, tmp_path: Path, target=None):
    """The recipe as drafted, loaded again."""
    path = tmp_path / "draft.yaml"
    table = Table(frame, "data/orders 2022.csv")
    path.write_text(draft_recipe(table, Data(source="data/orders 2022.csv"), target))
    return load_recipe(str(path)), path.read_text()


def test_each_column_gets_the_role_it_seems_to_have(shop, tmp_path):
    recipe, text = draft(shop, tmp_path)
    assert recipe.name == "orders-2022"
    assert recipe.columns.numeric == ("spent", "items")
    assert recipe.columns.categorical == ("country", "gift")
    assert recipe.columns.text == ("review",)
    assert recipe.columns.datetime == ("born",)
    for name, reason in {
        "order_id": "an identifier",
        "token": "many values with few rows each",
        "empty": "empty in every row",
        "currency": "one value in all rows",
        "ordered_at": "tells when",
    }.items():
        assert f"#   {name}: {reason}" in text


def test_the_latest_quarter_is_held_out_when_a_column_tells_when(shop, tmp_path):
    recipe, _ = draft(shop, tmp_path)
    assert isinstance(recipe.split, TimeSplit)
    assert recipe.split.column == "ordered_at"
    sides = split(shop, recipe)
    assert len(sides.train) + len(sides.holdout) == ROWS
    assert len(sides.holdout) == ROWS // 4


def test_dates_of_birth_do_not_split_the_table(shop, tmp_path):
    recipe, _ = draft(shop.drop(columns="ordered_at"), tmp_path)
    assert isinstance(recipe.split, FractionSplit)


def test_a_time_column_does_not_split_when_a_label_would_be_on_one_side(shop, tmp_path):
    shop["returned"] = ["yes"] * 280 + ["no"] * 20
    recipe, _ = draft(shop, tmp_path)
    assert isinstance(recipe.split, FractionSplit)


@pytest.mark.parametrize(
    ("target", "task", "kind"),
    [
        ("returned", "binary", "LogisticRegression"),
        ("country", "multiclass", "LogisticRegression"),
        ("spent", "regression", "Ridge"),
        ("items", "multiclass", "LogisticRegression"),
    ],
)
def test_task_and_estimator_follow_from_the_target(shop, tmp_path, target, task, kind):
    recipe, _ = draft(shop, tmp_path, target)
    assert recipe.task == task
    assert recipe.estimator.class_.endswith(kind)
    assert target not in recipe.columns.features


def test_a_large_table_without_text_gets_boosted_trees(shop, tmp_path):
    many = pd.concat([shop.drop(columns="review")] * 8, ignore_index=True)
    many["spent"] = np.random.default_rng(0).gamma(2, 40, len(many))
    recipe, _ = draft(many, tmp_path)
    assert recipe.estimator.class_.endswith("HistGradientBoostingClassifier")


def test_the_positive_label_is_said(shop, tmp_path):
    assert draft(shop, tmp_path)[0].positive == "yes"
    assert draft(shop.assign(returned=shop["returned"] == "yes"), tmp_path)[0].positive is True
    assert draft(shop.assign(returned=(shop["returned"] == "yes") * 1), tmp_path)[0].positive == 1


def test_a_feature_that_gives_the_target_away_is_left_out(shop, tmp_path):
    shop.insert(0, "refund", shop["returned"].map({"yes": 10, "no": 0}))
    recipe, text = draft(shop, tmp_path)
    assert "refund" not in recipe.columns.features
    assert "#   refund: is the target, or the target under other names" in text


@pytest.mark.parametrize(("target", "times"), [("returned", 2), ("items", 3), ("spent", 20)])
def test_copies_change_no_guess_and_are_told(shop, tmp_path, target, times):
    copied = pd.concat([shop] * times, ignore_index=True).sample(frac=1, random_state=0)
    once, _ = draft(shop, tmp_path, target)
    recipe, text = draft(copied, tmp_path, target)
    assert recipe == once
    copies = f"# {ROWS * (times - 1):,} of the {ROWS * times:,} rows are copies of others"
    assert copies in text


def test_rows_without_an_answer_do_not_mislead_the_guesses(shop, tmp_path):
    shop["returned"] = shop["returned"].where(shop.index > 5)
    recipe, text = draft(shop, tmp_path)
    assert recipe.task == "binary"
    assert "# The target is missing in 6 of 300 rows, which are left out." in text


def test_a_target_that_is_not_there_is_named_with_the_nearest(shop, tmp_path):
    with pytest.raises(DataError, match="did you mean 'returned'"):
        draft(shop, tmp_path, "retruned")


def test_the_target_is_guessed_by_name_and_else_is_the_last_column():
    assert guess_target(pd.DataFrame(columns=["a", "Label", "b"])) == "Label"
    assert guess_target(pd.DataFrame(columns=["a", "b"])) == "b"


@pytest.mark.parametrize(
    "values", [["1.5 kg", "2.5 kg"], ["12-34", "99-77"], pd.Categorical(["a", "b"])]
)
def test_what_is_neither_a_number_nor_a_day_is_a_category(values):
    assert guess_role(pd.Series(values)) == "categorical"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("exports/churn-*.csv", "churn"), ("data/*.parquet", "data"), ("sqlite:///shop.db", "shop"),
        ("https://example.org/a/Late Orders.csv.gz", "late-orders"), ("*.csv", "model"),
    ],
)  # fmt: skip
def test_the_model_is_named_after_its_data(source, name):
    table = Table(pd.DataFrame({"age": [1.0, 2.0, 3.0] * 9, "paid": [0, 1] * 13 + [1]}), source)
    recipe = draft_recipe(table, Data(source=source), "paid")
    assert f"\nname: {name} " in recipe


@pytest.mark.parametrize(("days", "last"), [(12, 1), (30, 80), (300, 1)])
def test_the_comment_on_the_holdout_says_its_share(shop, tmp_path, days, last):
    when = pd.date_range("2022-01-01", periods=days).repeat(-(-ROWS // days))[:ROWS].astype(str)
    shop["ordered_at"] = [*when[:-last], *[when[-1]] * last]
    shop.loc[0, "ordered_at"] = None
    recipe, text = draft(shop, tmp_path)
    share = len(split(shop, recipe).holdout) / (ROWS - 1)
    assert f"# the latest {share:.0%} of the rows" in text
    assert "# 1 rows have no time, and are left out." in text
