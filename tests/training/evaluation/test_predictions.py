"""Reading what models return: Cloche's own tables, and what strangers' models answer."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from cloche.training.errors import TrainingError
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Pairs, TargetSpec

LATE = TargetSpec("binary", ("late", "on time"), "late")
DIGIT = TargetSpec("binary", (0, 1), 1)
FRUIT = TargetSpec("multiclass", ("apple", "fig", "pear"))
PRICE = TargetSpec("regression")


def test_a_binary_table_of_cloche_keeps_its_labels_and_the_probability_of_the_positive_one():
    output = pd.DataFrame({"prediction": ["late", "on time"], "probability": [0.3, 0.1]})
    predictions = read(output, LATE, rows=2)
    assert predictions.labels.tolist() == ["late", "on time"]
    assert predictions.positive_probability().tolist() == [0.3, 0.1]
    assert predictions.probabilities[:, 0].tolist() == [0.3, 0.1]


def test_a_multiclass_table_of_cloche_is_read_by_its_column_names_in_any_order():
    output = pd.DataFrame(
        {
            "probability_pear": [0.7, 0.1], "prediction": ["pear", "fig"],
            "probability_fig": [0.2, 0.8], "probability_apple": [0.1, 0.1],
        }
    )  # fmt: skip
    predictions = read(output, FRUIT, rows=2)
    assert predictions.labels.tolist() == ["pear", "fig"]
    assert predictions.probabilities.tolist() == [[0.1, 0.2, 0.7], [0.1, 0.8, 0.1]]


def test_a_regression_table_of_cloche_is_its_prediction_column():
    assert read(pd.DataFrame({"prediction": [1.5, 2]}), PRICE, rows=2).values.tolist() == [1.5, 2]


@pytest.mark.parametrize(
    "output",
    [
        np.array([0.9, 0.2]), [0.9, 0.2], pd.Series([0.9, 0.2]), np.array([[0.9], [0.2]]),
        pd.DataFrame({"score": [0.9, 0.2]}), np.array([[0.1, 0.9], [0.8, 0.2]]),
        csr_matrix([[0.1, 0.9], [0.8, 0.2]]), pd.DataFrame([[0.1, 0.9], [0.8, 0.2]]),
        pd.DataFrame({"1": [0.9, 0.2], "0": [0.1, 0.8]}), {"score": np.array([0.9, 0.2])},
    ],
    ids=[
        "array", "list", "series", "column", "one-column table", "matrix", "sparse matrix",
        "table without names", "table named by label", "mapping",
    ],
)  # fmt: skip
def test_probabilities_of_strangers_are_read_in_every_shape(output):
    predictions = read(output, DIGIT, rows=2)
    np.testing.assert_allclose(predictions.positive_probability(), [0.9, 0.2])
    assert predictions.labels.tolist() == [1, 0]


def test_probabilities_become_labels_at_the_threshold_of_the_target():
    strict = TargetSpec("binary", (0, 1), 1, threshold=0.95)
    assert read([0.9, 0.96], strict, rows=2).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    "output", [[1, 0, 1], [1.0, 0.0, 1.0], [True, False, True], ["1", "0", "1"]]
)
def test_labels_that_changed_their_type_on_the_way_name_the_same_class(output):
    predictions = read(output, DIGIT, rows=3)
    assert predictions.codes.tolist() == [1, 0, 1]
    assert predictions.probabilities is None


def test_a_matrix_of_a_multiclass_model_predicts_its_largest_column():
    predictions = read(np.array([[0.2, 0.5, 0.3], [0.6, 0.4, 0.0]]), FRUIT, rows=2)
    assert predictions.labels.tolist() == ["fig", "apple"]


def test_probabilities_that_went_through_float32_are_made_to_add_up_exactly():
    matrix = np.array([[0.1, 0.9], [0.3, 0.7]], dtype=np.float32) + np.float32(1e-5)
    probabilities = read(matrix, DIGIT, rows=2).probabilities
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-15)


@pytest.mark.parametrize(
    ("output", "target", "message"),
    [
        ([0.1], DIGIT, "1 predictions for 2 rows"),
        ([0.1, np.nan], DIGIT, "1 of 2 predictions are NaN"),
        ([1.0, np.inf], PRICE, "1 of 2 predictions are infinite"),
        ([1.0, np.nan], PRICE, "1 of 2 predictions are NaN"),
        (["late", None], LATE, "1 of 2 predictions are missing"),
        ([[0.1, 0.9], [np.nan, np.nan]], DIGIT, "1 of 2 predictions are NaN"),
        (pd.DataFrame({"prediction": [1.0, np.nan]}), PRICE, "1 of 2 predictions are NaN"),
        (
            pd.DataFrame({"prediction": [0, 1], "probability": [np.nan, 0.9]}),
            DIGIT,
            "1 of 2 probabilities are NaN",
        ),
        (
            {"label": [0, 1], "scores": np.array([[0.1, 0.9], [np.nan, 0.5]])},
            DIGIT,
            "1 of 2 predictions in 'scores' are NaN",
        ),
        (pd.DataFrame({"0": [0.5, np.nan], "1": [0.5, 1.0]}), DIGIT, "1 of 2 predictions are NaN"),
        (["a", "b"], PRICE, "does not hold numbers"),
        ([2, 3], DIGIT, "label 2 is not one of the target's: 0, 1"),
        (np.array([[1.2, -3.0], [0.5, 2.0]]), DIGIT, "add up to 1"),
        (np.array([[0.5, 0.5], [0.5, 0.5]]), FRUIT, "2 columns, and the target has 3 labels"),
        (np.zeros((2, 2, 2)), PRICE, r"shape \(2, 2, 2\)"),
        ([[1], [2, 3]], PRICE, "not a table"),
        (
            pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
            DIGIT,
            "which of the model's outputs 'a', 'b'",
        ),
        (pd.DataFrame({"a": [1, 2], "b": [1, 2]}), PRICE, "which of the model's outputs 'a', 'b'"),
        (
            pd.DataFrame({"prediction": [0, 1], "probability": [0.5, 1.5]}),
            DIGIT,
            "must lie between 0 and 1",
        ),
    ],
)
def test_what_has_no_single_meaning_is_refused_with_what_was_found(output, target, message):
    with pytest.raises(TrainingError, match=message):
        read(output, target, rows=2)


MATRIX = np.array([[0.1, 0.9], [0.8, 0.2]], dtype=np.float32)


def test_labels_beside_a_column_for_every_label_are_read_as_a_graph_returns_them():
    predictions = read({"label": np.array([0, 1]), "probabilities": MATRIX}, DIGIT, rows=2)
    assert predictions.codes.tolist() == [0, 1]
    np.testing.assert_allclose(predictions.positive_probability(), [0.9, 0.2], rtol=1e-6)


@pytest.mark.parametrize("output", [{"dense": MATRIX[:, 1:]}, {"dense": MATRIX}])
def test_an_only_output_needs_no_known_name(output):
    np.testing.assert_allclose(
        read(output, DIGIT, rows=2).positive_probability(), [0.9, 0.2], rtol=1e-6
    )


HEADS = {"age": np.array([[30.0], [40.0]]), "late": MATRIX, "early": MATRIX[::-1]}


def test_the_policy_says_which_of_several_outputs_is_meant():
    np.testing.assert_allclose(
        read(HEADS, DIGIT, rows=2, name="late").positive_probability(), [0.9, 0.2], rtol=1e-6
    )
    table = pd.DataFrame({"price": [1.0, 2.0], "weight": [3.0, 4.0]})
    assert read(table, PRICE, rows=2, name="weight").values.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("output", "name", "message"),
    [
        (HEADS, None, "which of the model's outputs 'age', 'late', 'early' .* like: output: early"),
        (HEADS, "lat", "policy says 'lat', and the model returned named outputs 'age', 'late'"),
        (MATRIX, "late", "policy says 'late', and the model returned no named outputs"),
    ],
)
def test_several_outputs_without_a_choice_are_refused_by_their_names(output, name, message):
    with pytest.raises(TrainingError, match=message):
        read(output, DIGIT, rows=2, name=name)


def test_a_target_is_found_in_its_column_and_the_greater_label_is_positive():
    target = TargetSpec.from_column("binary", pd.Series(["yes", "no", "yes", None]))
    assert (target.classes, target.positive) == (("no", "yes"), "yes")


def pairs(truth) -> Pairs:
    return Pairs.pair(truth, read([0, 1], DIGIT, rows=2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TargetSpec.from_column("binary", [0, 1, 2]),
            "two labels, and this one has 3: 0, 1, 2",
        ),
        (
            lambda: TargetSpec.from_column("binary", ["yes", "no"], positive="maybe"),
            "'maybe' is not one of 'no', 'yes'",
        ),
        (lambda: pairs([0, 1, 1]), "2 predictions for 3 rows"),
        (lambda: pairs(pd.Series([0, None])), "1 of 2 labels are missing"),
    ],
)
def test_a_target_that_is_not_what_is_asked_for_is_refused(make, message):
    with pytest.raises(TrainingError, match=message):
        make()


def test_taking_rows_takes_truth_and_predictions_together():
    pairs = Pairs.pair([0, 1, 1], read([0.2, 0.9, 0.4], DIGIT, rows=3)).take(np.array([2, 0]))
    assert pairs.truth.tolist() == [1, 0]
    assert pairs.predictions.positive_probability().tolist() == [0.4, 0.2]


def test_a_column_without_numbers_is_told_without_its_values():
    with pytest.raises(TrainingError, match="does not hold numbers, but float, str") as caught:
        Pairs.pair([1.0, "Kim"], read([1.0, 2.0], PRICE, rows=2))
    assert "Kim" not in str(caught.value)
