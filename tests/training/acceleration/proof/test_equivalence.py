"""A twin that is wrong in any way is refused, with the row that shows it."""

import numpy as np
import pandas as pd
import pytest

from cloche.training.acceleration.original_model import Input, OriginalModel
from cloche.training.acceleration.proof.equivalence import PROOF_TOLERANCE, TOLERANCE, Proof, prove
from cloche.training.errors import TwinRefused

ROWS = pd.DataFrame({"x": np.linspace(-3, 3, 40)})


def probabilities(rows):
    positive = 1 / (1 + np.exp(-rows["x"].to_numpy(float)))
    return np.column_stack([1 - positive, positive])


def classifier(answers=None, **changes) -> OriginalModel:
    """Says 1 where x is above zero."""

    def standard(rows):
        if rows["x"].isna().any():
            raise ValueError("x is missing")
        scores = probabilities(rows)
        return scores, scores.argmax(axis=1)

    fields = {
        "pipeline": None, "inputs": (Input("x", "double"),), "answers": answers or standard,
        "classes": (0, 1), "positive": None, "threshold": None, "answer": {"array": "label"},
    }  # fmt: skip
    return OriginalModel(**{**fields, **changes})


def proof_of(twin, original=None, real=ROWS, adversarial=()):
    return prove(original or classifier(), twin, real, adversarial, check=lambda: None)


def test_an_equal_twin_is_proven():
    outside = pd.DataFrame({"x": [np.nan, 100.0]})
    proof = proof_of(probabilities, adversarial=[outside])
    assert (proof.rows, proof.adversarial_rows, proof.largest_difference) == (40, 2, 0.0)


def test_proofs_of_parts_add_up_to_that_of_the_whole():
    assert Proof(3, 2, 0.1, 1, 0).combine(Proof(4, 5, 0.2, 0, 2)) == Proof(7, 7, 0.2, 1, 2)


def test_scores_that_differ_too_much_are_refused():
    with pytest.raises(TwinRefused, match=r"scores differ by up to 3e-07, .*on 40 of 40 rows"):
        proof_of(lambda rows: probabilities(rows) + 3e-7)


def test_the_proof_demands_more_than_serving_tolerates():
    assert proof_of(lambda rows: probabilities(rows) + PROOF_TOLERANCE / 2).largest_difference > 0
    assert PROOF_TOLERANCE < TOLERANCE


def test_a_wrong_label_is_refused():
    upside_down = classifier(lambda rows: (probabilities(rows), probabilities(rows).argmin(axis=1)))

    with pytest.raises(TwinRefused, match="labels differ"):
        proof_of(probabilities, upside_down)


def test_a_label_so_near_another_that_serving_asks_the_original_may_differ():
    near = pd.DataFrame({"x": [1e-7]})
    scores = probabilities(near)
    other = classifier(
        lambda rows: (
            probabilities(rows),
            np.where(rows["x"] == 1e-7, 0, probabilities(rows).argmax(axis=1)),
        )
    )

    assert 0 < scores[0, 1] - scores[0, 0] < 2 * TOLERANCE
    assert proof_of(probabilities, other, adversarial=[near]).adversarial_rows == 1


def test_the_threshold_is_what_decides_where_there_is_one():
    strict = classifier(
        lambda rows: (probabilities(rows), (probabilities(rows)[:, 1] >= 0.9).astype(int)),
        positive=1,
        threshold=0.9,
    )

    assert proof_of(probabilities, strict).undecided_rows == 0


def test_an_answer_where_the_original_raises_is_refused():
    outside = pd.DataFrame({"x": [0.5, np.nan]})

    with pytest.raises(TwinRefused, match="the original gives no answer, and the twin does"):
        proof_of(lambda rows: probabilities(rows.fillna(0)), adversarial=[outside])


def test_a_twin_that_declines_most_real_rows_is_of_no_use():
    def shy(rows):
        return np.where(rows[["x"]] > 2, probabilities(rows), np.nan)

    with pytest.raises(TwinRefused, match="would leave 82% of the holdout's rows"):
        proof_of(shy)


def test_a_twin_that_scores_a_row_alone_otherwise_is_refused():
    with pytest.raises(TwinRefused, match="one row alone"):
        proof_of(lambda rows: probabilities(rows) + (1e-6 if len(rows) == 1 else 0))


def test_values_are_compared_by_their_size():
    large = OriginalModel(
        None, (Input("x", "double"),), lambda rows: (rows["x"].to_numpy() * 1e9, None), classes=(),
        positive=None, threshold=None, answer={"array": "value"},
    )  # fmt: skip

    proof = proof_of(lambda rows: rows["x"].to_numpy() * 1e9 * (1 + 1e-8), large)

    assert proof.largest_difference == pytest.approx(1e-8, rel=0.1)
