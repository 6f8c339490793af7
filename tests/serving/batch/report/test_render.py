"""What a person reads first: whether the predictions drifted, and how many columns."""

import pytest

from cloche.drift.comparison import drifted
from cloche.serving.batch.report.render import drift


def report(scores: list[str], columns: list[str], stable: int = 2) -> dict:
    """A report in which these drifted, and some columns did not."""

    def entries(names: list[str], verdict: str) -> list[dict[str, str]]:
        return [{"name": name, "verdict": verdict} for name in names]

    fine = entries([f"column_{at}" for at in range(stable)], "stable")
    return {"scores": entries(scores, "drifted"), "columns": entries(columns, "drifted") + fine}


@pytest.mark.parametrize(
    ("scores", "columns", "said"),
    [
        ([], [], "Predictions are as in training; 0 of 2 columns drifted."),
        (["probability"], ["age"],
         "Predictions drifted: probability; 1 of 3 columns drifted (namely age)."),
        ([], ["a", "b", "c", "d"],
         "Predictions are as in training; 4 of 6 columns drifted (most of all a, b, c)."),
    ],
)  # fmt: skip
def test_the_sentence_names_the_scores_first_and_the_worst_columns(scores, columns, said):
    assert drift(report(scores, columns)) == said


def test_what_drifted_is_listed_for_machines():
    assert drifted(report(["probability"], ["age"])) == {
        "scores": ["probability"], "columns": ["age"],
    }  # fmt: skip
