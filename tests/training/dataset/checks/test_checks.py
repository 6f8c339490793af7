"""Every reason not to learn from a table, said at once; and the oddities that are only told."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from cloche.training.dataset.checks.checks import check_split, check_table
from cloche.training.dataset.split import Split, split
from cloche.training.errors import DataError


def problems(frame, recipe):
    with pytest.raises(DataError) as caught:
        check_table(frame, recipe)
    return caught.value.problems


REGRESSION = {
    "task": "regression",
    "target": "spend",
    "columns": {"numeric": ["age"], "categorical": ["plan"]},
    "estimator": {"class": "sklearn.linear_model.Ridge"},
}
BY_TIME = {
    "by": "time", "column": "day", "train": ["2020-01-01", "2020-04-30"],
    "holdout": ["2020-05-01", "2020-12-31"],
}  # fmt: skip


def test_a_sound_table_has_nothing_to_say(frame, make_recipe):
    assert check_table(frame, make_recipe()) == []
    assert check_table(frame, make_recipe(**REGRESSION)) == []
    assert check_table(frame, make_recipe(split=BY_TIME)) == []
    assert check_split(split(frame, make_recipe()), make_recipe()) == []


def test_all_problems_are_told_at_once(frame, make_recipe):
    frame = frame.drop(columns="age").assign(spend=np.inf, plan=np.nan)
    found = problems(frame, make_recipe())
    assert [one.partition(":")[0].partition(";")[0] for one in found] == [
        "column 'age' is absent",
        "spend",
        "plan",
    ]


@pytest.mark.parametrize(
    ("values", "role", "message"),
    [
        ("old", "numeric", "numeric, and holds text (200 of 200 values are no numbers)"),
        (20200101, "datetime", "has the role datetime"),
        ([[1, 2]] * 200, "categorical", "holds lists or mappings"),
    ],
)
def test_a_feature_that_is_not_what_its_role_says_is_named(
    frame, make_recipe, values, role, message
):
    recipe = make_recipe(columns={role: ["age"]})
    found = problems(frame.assign(age=values), recipe)
    assert any(message in one for one in found), found


@pytest.mark.parametrize("role", ["numeric", "categorical", "text", "datetime"])
@pytest.mark.parametrize(
    "value", ["a 9876", "9876-88-99", "31.12.9876 x", 9876.5, ["9876"], {"a": 9876}], ids=str
)
def test_no_message_about_a_column_shows_a_value(frame, make_recipe, value, role):
    cells = [value if at % 3 else one for at, one in enumerate(frame["age"])]
    for values in (cells, [value] * 200):
        odd = frame.assign(age=pd.Series(values), spend=frame["spend"] * 9876)
        by_time = {**BY_TIME, "column": "age"}
        found = problems(odd, make_recipe(columns={role: ["age"]}, split=by_time, target="spend"))
        assert found
        assert not [one for one in found if "9876" in one]


def test_many_labels_are_counted_and_not_shown(frame, make_recipe):
    (found,) = problems(frame.assign(churned=frame["plan"] + frame["customer"]), make_recipe())
    assert found.endswith("needs 2 labels, and the target has 200 labels; set task: multiclass")


def test_an_almost_perfect_feature_is_a_warning(frame, make_recipe):
    recipe = make_recipe(**REGRESSION)
    frame = frame.assign(age=frame["spend"])
    frame.loc[0, "age"] += 0.01 * frame["spend"].std()
    frame.loc[frame["spend"].idxmax(), "age"] = frame["spend"].nlargest(2).iloc[1] - 1e-9
    assert any("almost perfectly" in one for one in check_table(frame, recipe))


def test_oddities_are_warnings(frame, make_recipe):
    frame = frame.assign(age=7.0, plan=frame["customer"])
    warnings = check_table(frame, make_recipe())
    assert "age: has one value in all rows, and tells nothing" in warnings
    assert any(one.startswith("plan: has 200 values in 200 rows") for one in warnings)


def test_rows_without_a_time_or_a_group_are_told(frame, make_recipe):
    timeless = frame.assign(day=frame["day"].where(frame.index > 3))
    assert check_table(timeless, make_recipe(split=BY_TIME)) == [
        "day: 4 rows have no time, and are left out"
    ]
    alone = frame.assign(household=frame["household"].where(frame.index > 3))
    recipe = make_recipe(split={"by": "group", "column": "household"})
    assert "4 rows have no group" in check_table(alone, recipe)[0]


def test_a_side_with_one_class_is_refused(frame, make_recipe):
    leavers, stayers = (frame[frame["churned"] == label] for label in (1, 0))
    recipe = make_recipe(split={"by": "fraction", "stratify": False})
    with pytest.raises(DataError) as caught:
        check_split(Split(leavers, stayers), recipe)
    found = caught.value.problems
    other = "set split.stratify: true, or add rows"
    assert f"churned: all training rows have the label 1; {other}" in found
    assert f"churned: all rows of the holdout have the label 0; {other}" in found
    assert any("the holdout has the label 0, and no training row has" in one for one in found)


def first_problem(frame, recipe):
    """What is said of a split, and nothing where it is sound."""
    try:
        check_split(split(frame, recipe), recipe)
    except DataError as error:
        return error.problems[0]
    return ""


@pytest.mark.parametrize("rare", [2, 4])
@pytest.mark.parametrize("holdout", [0.1, 0.9])
@pytest.mark.parametrize("stratify", [True, False])
def test_the_other_split_that_is_advised_has_each_label(
    frame, make_recipe, rare, holdout, stratify
):
    frame = frame.assign(churned=[1] * rare + [0] * (len(frame) - rare))
    asked = {"by": "fraction", "holdout": holdout, "stratify": stratify}
    for seed in range(5):
        found = first_problem(frame, make_recipe(split=asked, seed=seed))
        if found:
            pairs = re.findall(r"split\.(\w+): ([\w.]+)", found)
            advised = asked | {name: yaml.safe_load(value) for name, value in pairs}
            assert advised != asked
            assert not first_problem(frame, make_recipe(split=advised, seed=seed))


@pytest.mark.parametrize("rare", [2, 30])
def test_other_days_or_shares_that_are_advised_have_each_label(frame, make_recipe, rare):
    frame = frame.assign(churned=[1, 0] * rare + [0] * (len(frame) - 2 * rare))
    found = first_problem(frame, make_recipe(split=BY_TIME))
    assert "move the days of split.train and split.holdout" in found
    advised = yaml.safe_load(re.findall(r"split: (\{.*?\})", found)[0])
    assert not first_problem(frame, make_recipe(split=advised))
    moved = {"train": ["2020-01-01", "2020-01-02"], "holdout": ["2020-01-03", "2020-12-31"]}
    assert not first_problem(frame, make_recipe(split={**BY_TIME, **moved}))


def test_another_seed_or_more_groups_that_are_advised_have_each_label(frame, make_recipe):
    by = {"by": "group", "column": "household", "holdout": 0.1}
    rare = frame.assign(churned=(frame["household"] < 3).astype(int))
    said = [first_problem(rare, make_recipe(split=by, seed=seed)) for seed in range(20)]
    assert all("set another seed, which holds out other groups" in one for one in said if one)
    assert 0 < said.count("") < 20
    more = rare.assign(churned=frame["household"] % 2)
    assert not any(first_problem(more, make_recipe(split=by, seed=seed)) for seed in range(20))


def test_a_feature_with_one_value_to_learn_from_is_a_warning(frame, make_recipe):
    sides = split(frame, make_recipe())
    assert check_split(Split(sides.train.assign(spend=1.0), sides.holdout), make_recipe()) == [
        "spend: has one value in all training rows, and others in the holdout"
    ]


@pytest.mark.parametrize(("times", "target"), [(2, "churned"), (10, "spend")])
def test_a_table_with_copies_is_judged_by_its_records_and_told(frame, make_recipe, times, target):
    recipe = make_recipe(
        target=target,
        task="binary" if target == "churned" else "regression",
        columns={"numeric": ["age"], "categorical": ["plan"]},
    )
    table = pd.concat([frame] * times, ignore_index=True).sample(frac=1, random_state=0)
    once = check_table(frame, recipe)
    copies = f"{200 * (times - 1):,} of the {200 * times:,} rows are copies of others"
    told, *others = check_table(table, recipe)
    assert told.startswith(copies)
    assert others == once


def test_a_few_rows_on_both_sides_are_a_warning(frame, make_recipe):
    sides = split(frame, make_recipe())
    train = pd.concat([sides.train, sides.holdout.head(4)])
    assert check_split(Split(train, sides.holdout), make_recipe()) == [
        "4 of the holdout rows (8.00%) have the same features as a training row; "
        "where they are copies, they flatter every metric"
    ]


def test_things_that_look_alike_by_nature_are_a_warning(frame, make_recipe):
    recipe = make_recipe(columns={"categorical": ["plan"]})
    (warning,) = check_split(split(frame, recipe), recipe)
    assert warning.startswith(
        "50 of the holdout rows (100.00%) have the same features as a training row"
    )
