"""The whole judgement on real models, each in a process of its own."""

import pandas as pd
import pytest

from cloche.training.gate.fetched_version import fetch
from cloche.training.gate.judge import judge
from cloche.training.gate.policy import carried_policy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_programs")]


@pytest.fixture
def judged(client, tmp_path):
    """Judge a version against another one."""

    def judged(number, serving, **options):
        def get(n):
            folder = tmp_path / f"fetched-{n}"
            folder.mkdir(exist_ok=True)
            return fetch(client.get_model_version("flight-delay", n), folder)

        candidate = get(number)
        return judge(
            client,
            carried_policy(candidate.model.metadata),
            candidate,
            get(serving) if serving else None,
            **{"allow_breaking": False, "timeout": 120, "say": lambda _: None, **options},
        )

    return judged


def verdicts(judgement):
    return {verdict.name: verdict.result for verdict in judgement.decision.verdicts}


def test_a_worse_version_is_refused_by_comparison_and_by_slice(log_version, judged):
    serving = log_version()
    gate = {
        "minimum": {"roc_auc": 0.5},
        "slices": [{"column": "origin", "metric": "roc_auc", "minimum": 0.8, "min_rows": 100}],
        "latency_ms": 10_000,
    }
    judgement = judged(log_version(error=2.0, gate=gate), serving)
    assert verdicts(judgement) == {
        "loads": "passed", "input example": "passed", "minimum roc_auc": "passed",
        "not worse by roc_auc": "failed", "roc_auc by origin": "failed", "latency": "passed",
        "signature": "passed",
    }  # fmt: skip
    assert judgement.measured.notes == ()
    assert set(judgement.measured.intervals) == {"roc_auc", "log_loss"}


def test_the_same_model_again_is_not_worse_and_another_holdout_is_noted(
    log_version, judged, holdout
):
    serving = log_version(holdout=holdout.head(400))
    judgement = judged(log_version(), serving)
    assert judgement.decision.passed
    assert judgement.measured.measurements.comparison.differences["roc_auc"].bound == 0
    assert "version 1 was trained beside another holdout" in judgement.measured.notes[0]


def test_copies_in_the_holdout_count_once_in_comparisons_and_are_noted(
    log_version, judged, holdout
):
    copied = pd.concat([holdout] * 3, ignore_index=True)
    judgement = judged(log_version(error=0.2, holdout=copied), log_version())
    assert "1,200 of the 1,800 rows of the holdout are copies" in judgement.measured.notes[0]
    once = judged(log_version(error=0.2), "2").measured
    found = judgement.measured
    assert vars(found.intervals["log_loss"]) == pytest.approx(vars(once.intervals["log_loss"]))
    for metric, difference in once.measurements.comparison.differences.items():
        copied_difference = found.measurements.comparison.differences[metric]
        assert vars(copied_difference) == pytest.approx(vars(difference))


def test_by_a_column_that_the_holdout_lacks_neither_production_nor_a_slice_can_be_judged(
    log_version, judged, holdout
):
    serving = log_version(features=["hour", "wind", "gust"], by_cloche=False)
    gate = {"slices": [{"column": "gust", "metric": "roc_auc", "minimum": 0.5}]}
    rows = holdout.drop(columns="gust")
    narrow = log_version(features=["hour", "wind"], holdout=rows, gate=gate)
    judgement = judged(narrow, serving)
    failed = {verdict.name: verdict.sentence for verdict in judgement.decision.failed}
    assert set(failed) == {"not worse by roc_auc", "roc_auc by gust", "signature"}
    assert "gust" in failed["not worse by roc_auc"]
    assert "no such column" in failed["roc_auc by gust"]
    assert "input 'gust' is gone" in failed["signature"]
    assert "was not trained by Cloche" in judgement.measured.notes[0]
