"""What people learn of a model from its log: quality by day, what fell, and what changed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from cloche.prediction_log.destination import Destination
from cloche.prediction_log.reading import Selection
from cloche.training.errors import RegistryError
from cloche.training.monitor.monitor import monitor, open_alarms
from cloche.training.monitor.version_reference import Probing
from tests.training.conftest import FEATURES, LogVersion, make_classifier, make_holdout
from tests.training.monitor.logs import DAY, moment, write_labels, write_predictions

DAYS, ROWS = 10, 400
FIRST = pd.Timestamp("2026-03-01T00:00:30")


def write_log(
    log: Path, *, version: str = "1", error: float = 0.0, shuffled: bool = False,
    turned: bool = False, inclusion: float = 1.0, inputs: bool = True, seed: int = 7,
) -> None:  # fmt: skip
    """Ten days of answers, labelled three days later; labels of the last five may be others."""
    frame = make_holdout(DAYS * ROWS, seed=seed)
    times = pd.Series(FIRST + pd.to_timedelta(np.arange(len(frame)) * (86_400 // ROWS), unit="s"))
    ids = pd.Series([f"flight-{at}" for at in range(len(frame))])
    chances = make_classifier(error).predict_proba(frame[FEATURES])
    outputs = pd.DataFrame(chances, columns=["0", "1"])
    logged = frame[[*FEATURES, "origin"]] if inputs else frame[[]]
    write_predictions(
        log, "flight-delay", version, times=times, ids=ids, inputs=logged, outputs=outputs,
        inclusion=inclusion,
    )  # fmt: skip
    labels, half = frame["late"].copy(), len(frame) // 2
    if turned:
        labels[half:] = 1 - labels[half:]
    if shuffled:
        labels[half:] = np.random.default_rng(1).permutation(labels[half:])
    write_labels(log, "flight-delay", ids=ids, labels=labels, arrived=times + 3 * DAY)


def run(client: MlflowClient, log: Path, as_of: str = "2026-03-14") -> dict[str, Any]:
    chosen = Selection(
        "flight-delay", moment("2026-03-01"), moment("2026-03-11"), as_of=moment(as_of)
    )
    return monitor(client, Destination.of(str(log)), chosen, probing=Probing())


@pytest.fixture
def version(log_version: LogVersion) -> str:
    return log_version(holdout=make_holdout(30_000))


def test_untouched_days_have_the_quality_of_the_holdout_and_raise_nothing(
    client: MlflowClient, version: str, tmp_path: Path
):
    write_log(tmp_path / "log")

    found = run(client, tmp_path / "log")

    (one,) = found["versions"]
    assert found["alarms"] == []
    assert [day["rows"] for day in one["days"]] == [ROWS] * DAYS
    assert [day["coverage"] for day in one["days"]] == [1.0] * DAYS
    values = [day["metrics"]["roc_auc"] for day in one["days"]]
    assert all(v["low"] < v["value"] < v["high"] for v in values)
    assert np.mean([v["value"] for v in values]) == pytest.approx(
        one["holdout_days"]["center"], abs=0.02
    )


def test_days_whose_labels_have_not_arrived_are_unfinished(
    client: MlflowClient, version: str, tmp_path: Path
):
    write_log(tmp_path / "log", shuffled=True)

    found = run(client, tmp_path / "log", as_of="2026-03-09")

    unfinished = [day["day"] for day in found["versions"][0]["days"] if day["unfinished"]]
    assert unfinished == ["2026-03-06", "2026-03-07", "2026-03-08"]


def test_a_past_result_is_made_again_to_the_byte(
    client: MlflowClient, version: str, tmp_path: Path
):
    write_log(tmp_path / "log")

    early, again = (json.dumps(run(client, tmp_path / "log", as_of="2026-03-08")) for _ in range(2))

    assert early == again
    assert json.loads(early)["last_day"] == "2026-03-07"


def test_wrong_labels_are_an_alarm_that_says_how_far_quality_fell_and_since_when(
    client: MlflowClient, version: str, tmp_path: Path
):
    write_log(tmp_path / "log", shuffled=True)

    found = open_alarms(run(client, tmp_path / "log"))

    assert {alarm["check"] for alarm in found} >= {"quality", "slice"}
    quality = next(alarm for alarm in found if alarm["check"] == "quality")
    assert quality["subjects"] == ["roc_auc"]
    assert quality["first_day"] == "2026-03-06"
    assert "roc_auc is 0." in quality["text"]
    assert "usually 0." in quality["text"]


def test_a_relation_that_has_turned_around_is_not_taken_for_labels_of_other_rows(
    client: MlflowClient, version: str, tmp_path: Path
):
    write_log(tmp_path / "log", turned=True)

    found = open_alarms(run(client, tmp_path / "log"))

    assert {alarm["check"] for alarm in found} == {"quality", "slice"}


@pytest.mark.parametrize("seed", [11, 12])
def test_days_that_differ_by_chance_alone_do_not_stand_still(
    client: MlflowClient, log_version: LogVersion, tmp_path: Path, seed: int
):
    log_version(holdout=make_holdout(4_000))  # days of fewer rows than those of the log
    write_log(tmp_path / "log", seed=seed)

    assert run(client, tmp_path / "log")["alarms"] == []


def test_a_fall_is_split_by_the_version_before_it_into_traffic_and_model(
    client: MlflowClient, log_version: LogVersion, tmp_path: Path
):
    holdout = make_holdout(30_000)
    log_version(holdout=holdout)
    client.set_registered_model_alias("flight-delay", "previous", "1")
    log_version(holdout=holdout)  # judged as good as version 1, and answers worse
    run_id = client.get_model_version("flight-delay", "2").run_id
    for end in ("", "_low", "_high"):
        client.log_metric(run_id, f"holdout/roc_auc{end}", 0.88)
    write_log(tmp_path / "log", version="2", error=6.0)

    found = open_alarms(run(client, tmp_path / "log"))

    quality = next(alarm for alarm in found if alarm["check"] == "quality")
    assert "version 1 has roc_auc 0.8" in quality["explained"]
    assert "in the model" in quality["explained"]


def test_without_inputs_in_the_log_a_fall_cannot_be_split(
    client: MlflowClient, log_version: LogVersion, tmp_path: Path
):
    holdout = make_holdout(30_000)
    log_version(holdout=holdout)
    run_id = client.get_model_version("flight-delay", "1").run_id
    for end in ("_low", "_high"):
        client.log_metric(run_id, f"holdout/roc_auc{end}", 0.88)
    write_log(tmp_path / "log", shuffled=True, inputs=False)

    quality = next(
        alarm for alarm in run(client, tmp_path / "log")["alarms"] if alarm["check"] == "quality"
    )

    assert "hour, wind, gust is not logged" in quality["explained"]


def test_rows_of_a_sampled_log_stand_for_those_that_were_left_out(
    client: MlflowClient, version: str, tmp_path: Path
):
    write_log(tmp_path / "log", inclusion=0.25)

    day = run(client, tmp_path / "log")["versions"][0]["days"][0]

    assert (day["rows"], day["requests"]) == (ROWS, 4 * ROWS)


def test_a_version_that_cloche_did_not_train_is_counted_and_says_what_lacks(
    client: MlflowClient, log_version: LogVersion, tmp_path: Path
):
    log_version(by_cloche=False)
    write_log(tmp_path / "log")

    (one,) = run(client, tmp_path / "log")["versions"]

    assert one["days"][0]["rows"] == ROWS
    assert one["notes"] == [
        "version 1 carries no policy, as versions that Cloche trained do; only its rows are counted"
    ]


def test_a_log_without_answers_says_what_writes_them(
    client: MlflowClient, version: str, tmp_path: Path
):
    with pytest.raises(RegistryError, match="`cloche serve --log` writes them"):
        run(client, tmp_path / "nothing")
