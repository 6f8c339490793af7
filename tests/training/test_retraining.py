"""A training on logged rows: its lineage, and the limits of one that nobody starts by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from cloche.prediction_log.lookup import LOG_VARIABLE
from cloche.training.dataset.reading.sources import load_table
from cloche.training.errors import DataError, TrainingPostponed
from cloche.training.recipe.load import data_section
from cloche.training.retraining import RetrainingLimits
from cloche.training.train import prepare_data, train
from tests.cloche.prediction_log.conftest import DAY, MODEL, MONDAY, Log
from tests.training.conftest import small_recipe

NOW = datetime.now(UTC)


def silent(_step):
    """Progress that nobody watches."""


@pytest.fixture
def recipe(client, tmp_path, monkeypatch):
    """The recipe of the sample, whose rows a server was asked, and whose truth arrived later."""
    monkeypatch.setenv(LOG_VARIABLE, str(tmp_path / "log"))
    monkeypatch.chdir(tmp_path)
    log = Log(tmp_path / "log")
    plain = small_recipe("acceleration=off")
    rows = load_table(plain.data, plain.used_columns).frame
    columns = plain.columns.features
    for day, part in enumerate((rows.iloc[:300], rows.iloc[300:])):
        ids = [f"{n}" for n in part.index]
        log.write(*ids, at=MONDAY + day * DAY, inputs={c: list(part[c]) for c in columns})
        log.add(dict(zip(ids, part[plain.target], strict=True)), MONDAY + (day + 1) * DAY)
    return small_recipe("acceleration=off", f"data.source=log:{MODEL}")


@pytest.mark.slow
def test_the_run_of_a_training_on_logged_rows_names_the_log_as_it_was(client, recipe):
    result = train(recipe, silent)
    run = client.get_run(result.run_id)
    training, holdout = (found.dataset for found in run.inputs.dataset_inputs)
    assert f"log:{MODEL}?as_of=" in training.source
    assert training.digest != holdout.digest
    assert run.data.tags["cloche.trained_until"] == (MONDAY + DAY).isoformat()
    with pytest.raises(TrainingPostponed, match="less than 7 days ago, and nothing was trained"):
        train(recipe, silent, RetrainingLimits(cool_down=7))
    late = RetrainingLimits(min_labels=1, cool_down=7, clock=lambda: NOW + timedelta(days=8))
    with pytest.raises(TrainingPostponed, match="0 labels have arrived since the last training"):
        train(recipe, silent, late)


def test_too_few_labels_put_a_training_off(recipe):
    with pytest.raises(TrainingPostponed, match=r"569 labels have arrived .* fewer than 1,000"):
        prepare_data(recipe, limits=RetrainingLimits(min_labels=1000))
    assert len(prepare_data(recipe, limits=RetrainingLimits(min_labels=569)).table.frame) == 569


def test_labels_of_a_file_are_not_counted(client):
    with pytest.raises(DataError, match="--min-labels counts labels of a log; name one: --data"):
        prepare_data(small_recipe(), limits=RetrainingLimits(min_labels=1))


def test_a_log_has_no_format():
    with pytest.raises(Exception, match="is a log; remove the format"):
        data_section({"source": f"log:{MODEL}", "format": "csv"})
