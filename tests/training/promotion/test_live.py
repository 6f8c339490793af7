"""Promotions on live rows: logged, labelled, and none that a judged version was trained on."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from mlflow import MlflowClient

from cloche.prediction_log.lookup import LOG_TAG, LOG_VARIABLE
from cloche.training.errors import DataError
from cloche.training.gate.live_rows import TrainedUntil, live_holdout, trained_until
from cloche.training.gate.policy import Policy
from cloche.training.names import TRAINED_UNTIL
from cloche.training.promotion.promote import promote
from cloche.training.promotion.promotion_request import PromotionRequest
from tests.cloche.prediction_log.conftest import MODEL, MONDAY, Log
from tests.training.conftest import FEATURES, make_holdout

HOUR = timedelta(hours=1)
# Versions are trained when a test runs, which may be long after this.
EARLIER = datetime.now(UTC) - HOUR
LATER = EARLIER + 24 * HOUR
POLICY = Policy(task="binary", target="late", data={"source": "anything.csv"})


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv(LOG_VARIABLE, str(tmp_path / "log"))
    return Log(tmp_path / "log")


def answer(log: Log, rows: pd.DataFrame, name: str, at: datetime, *, labelled=True) -> None:
    """Log rows as a server would have, and the truth about them."""
    ids = [f"{name}{n}" for n in range(len(rows))]
    log.write(*ids, at=at, inputs={column: list(rows[column]) for column in [*FEATURES, "origin"]})
    if labelled:
        log.add(dict(zip(ids, rows["late"], strict=True)), at + HOUR)


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_a_challenger_is_promoted_by_live_rows_and_the_evidence_says_which(
    client: MlflowClient, log, log_version, mark_promoted
):
    mark_promoted(log_version(error=2.0, challenger=False), "production")
    version = log_version(gate={"not_worse": {"margin": 0.0}})
    answer(log, make_holdout(50, seed=1), "seen", EARLIER)
    answer(log, make_holdout(300, seed=2), "live", LATER)
    answer(log, make_holdout(20, seed=3), "open", LATER, labelled=False)
    client.set_registered_model_tag(MODEL, LOG_TAG, log.destination.uri)
    as_of = f"{LATER + 2 * HOUR:%Y-%m-%dT%H:%M:%S}"

    result = promote(client, MODEL, PromotionRequest(on=f"live?as_of={as_of}"))

    assert result.version == version
    judgement = result.evaluated.judgement
    assert judgement.measured.measurements.rows == 300
    assert judgement.measured.measurements.comparison.differences["roc_auc"].gain > 0
    path = Path(client.download_artifacts(result.run_id, "evidence.json"))
    evidence = json.loads(path.read_text())
    assert evidence["holdout"]["source"].startswith(f"log:{MODEL}?as_of={as_of}")
    told = [note for note in evidence["notes"] if "live rows" in note]
    assert len(told) == 1
    assert "neither version 2 (trained on rows until" in told[0]
    assert "nor version 1 (" in told[0]


def test_without_labels_of_unseen_rows_nothing_is_judged(client, log, log_version):
    version = client.get_model_version(MODEL, log_version())
    answer(log, make_holdout(5), "seen", EARLIER)
    answer(log, make_holdout(7), "open", LATER, labelled=False)
    as_of = f"as_of={LATER + HOUR:%Y-%m-%dT%H:%M:%S}"
    with pytest.raises(DataError, match=r"12 rows are logged, 7 of them after version 1 \(trained"):
        live_holdout(client, POLICY, [version], as_of)


def test_a_version_that_was_trained_on_the_log_has_seen_what_its_run_says(client, log_version):
    version = client.get_model_version(MODEL, log_version())
    client.set_tag(version.run_id, TRAINED_UNTIL, "2026-03-02T12:00:00+00:00")
    assert trained_until(client, version).received == MONDAY


def test_a_version_without_a_run_was_trained_before_it_was_registered():
    version = SimpleNamespace(
        version="4", run_id=None, creation_timestamp=int(MONDAY.timestamp() * 1000)
    )
    assert trained_until(MlflowClient(), version).received == MONDAY


def test_a_split_by_time_tells_which_rows_a_version_has_not_seen():
    last = TrainedUntil("version 1", MONDAY, "day", datetime(2013, 10, 31).date())  # noqa: DTZ001
    frame = pd.DataFrame({"day": ["2013-10-31T23:00", "2013-11-01T00:00", "2013-10-01"]})
    received = pd.Series([MONDAY - HOUR, MONDAY - HOUR, MONDAY + HOUR])
    assert last.unseen(frame, received).tolist() == [False, True, True]


def test_rows_to_judge_on_are_live_or_the_holdout():
    with pytest.raises(ValueError, match="--on holdout: versions are judged on live"):
        PromotionRequest(on="holdout")
