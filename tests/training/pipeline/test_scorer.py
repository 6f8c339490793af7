"""The code that travels with a version: it prepares rows in one way, and runs without Cloche."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from cloche.training.pipeline.scorer import MISSING, Scorer, prepare

NO_COLUMNS: dict[str, list[str]] = {"numeric": [], "categorical": [], "text": [], "datetime": []}


def test_numbers_become_floats_and_missing_ones_nan():
    frame = pd.DataFrame({"seats": pd.array([1, None], dtype="Int64"), "late": [True, False]})
    features = prepare(frame, NO_COLUMNS | {"numeric": ["seats", "late"]})
    np.testing.assert_array_equal(features["seats"], [1.0, np.nan])
    np.testing.assert_array_equal(features["late"], [1.0, 0.0])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["7", None]), pd.Series([7, None], dtype="Int64"), pd.Series([7.0, np.nan]),
        pd.Series([7, None], dtype=object), pd.Series(["7", np.nan], dtype=object),
    ],
    ids=["string", "nullable", "float", "mixed", "object"],
)  # fmt: skip
def test_one_category_reads_the_same_in_every_type_that_a_column_may_have(column):
    features = prepare(pd.DataFrame({"gate": column}), NO_COLUMNS | {"categorical": ["gate"]})
    assert features["gate"].tolist() == ["7", MISSING]


def test_an_optional_column_that_is_absent_is_missing_in_every_row():
    columns = NO_COLUMNS | {"numeric": ["seats"], "text": ["remark"], "datetime": ["departure"]}

    features = prepare(pd.DataFrame(index=[0, 1]), columns)

    assert features["seats"].isna().all()
    assert features["remark"].tolist() == [MISSING, MISSING]
    assert features["departure_hour"].isna().all()


def test_a_datetime_becomes_its_parts():
    frame = pd.DataFrame({"departure": pd.to_datetime(["2013-11-02 17:30", None])})

    features = prepare(frame, NO_COLUMNS | {"datetime": ["departure"]})

    assert features.iloc[0].to_dict() == {
        "departure_month": 11.0, "departure_day_of_week": 5.0, "departure_hour": 17.0,
        "departure_day_of_year": 306.0,
    }  # fmt: skip
    assert features.iloc[1].isna().all()


@pytest.mark.parametrize(
    ("positive", "threshold", "expected"),
    [("yes", 0.6, "no"), ("yes", 0.4, "yes"), ("no", 0.5, "yes"), ("no", 0.45, "no")],
)
def test_the_positive_label_is_predicted_from_its_threshold_on(positive, threshold, expected):
    # A prior of 0.52 for "yes" and 0.48 for "no".
    rows = pd.DataFrame({"x": np.zeros(25)})
    prior = DummyClassifier(strategy="prior").fit(rows, ["yes"] * 13 + ["no"] * 12)
    model = Scorer().configure(
        prior,
        {
            "task": "binary", "columns": NO_COLUMNS | {"numeric": ["x"]}, "classes": ["no", "yes"],
            "positive": positive, "threshold": threshold,
        },
    )  # fmt: skip

    output = model.predict(None, rows.head(1))

    assert output["prediction"].tolist() == [expected]
    assert output["probability"].tolist() == [pytest.approx(0.52 if positive == "yes" else 0.48)]


def test_multiclass_names_a_probability_for_each_class():
    rows = pd.DataFrame({"x": np.zeros(4)})
    prior = DummyClassifier(strategy="prior").fit(rows, [3, 3, 1, 2])
    columns = NO_COLUMNS | {"numeric": ["x"]}
    model = Scorer().configure(
        prior, {"task": "multiclass", "columns": columns, "classes": [1, 2, 3]}
    )

    output = model.predict(None, rows)

    assert list(output.columns) == ["prediction", "probability_1", "probability_2", "probability_3"]
    assert output["prediction"].tolist() == [3, 3, 3, 3]
    assert output.iloc[0, 1:].tolist() == [0.25, 0.25, 0.5]


def test_the_answer_keeps_the_index_of_the_question():
    rows = pd.DataFrame({"x": [0.0, 1.0]}, index=[10, 20])
    prior = DummyClassifier(strategy="prior").fit(rows, [0, 1])
    columns = NO_COLUMNS | {"numeric": ["x"]}
    model = Scorer().configure(
        prior,
        {"task": "binary", "columns": columns, "classes": [0, 1], "positive": 1, "threshold": 0.5},
    )

    assert model.predict(None, rows).index.tolist() == [10, 20]
