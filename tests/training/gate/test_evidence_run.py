"""The evidence in MLflow: findable, complete, and honest about what is not defined."""

import json
from datetime import UTC, datetime

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from cloche.training.gate.evidence import evidence, gate_outcome_of
from cloche.training.gate.evidence_run import record

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


@pytest.fixture
def write(client, make_judgement):
    """Record a judgement and read the run back."""

    def write(outcome="passed", **changes):
        run_id = record(client, make_judgement(**changes), outcome=outcome, reason=None, now=NOW)
        return client.get_run(run_id)

    return write


def load(client, run, name):
    return json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{name}"))


def test_the_run_lies_beside_the_training_run_with_its_tags_numbers_and_rows(
    client, write, make_judgement
):
    run = write()
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "gate flight-delay v2"
    found = client.search_runs(
        [client.get_experiment_by_name("flights").experiment_id],
        "tags.`cloche.kind` = 'gate' and tags.`cloche.model` = 'flight-delay' "
        "and tags.`cloche.version` = '2' and tags.`cloche.decision` = 'passed'",
    )
    assert [one.info.run_id for one in found] == [run.info.run_id]
    assert run.data.metrics == {  # of both versions, where they are defined
        "candidate/roc_auc": 0.82,
        "production/roc_auc": 0.80,
        "gain/roc_auc": 0.02,
        "gain/roc_auc_bound": 0.012,
        "latency_ms": 4.5,
        "load_seconds": 1.5,
    }
    [used] = run.inputs.dataset_inputs
    assert used.dataset.digest == make_judgement().measured.holdout.digest[:16]
    assert {tag.key: tag.value for tag in used.tags}["mlflow.data.context"] == "gate"


def test_parameters_name_the_versions_and_what_failed(write):
    params = write(scores={"roc_auc": 0.6}).data.params
    assert params["version"] == "2"
    assert params["production"] == "1"
    assert params["failed"] == "minimum roc_auc"
    assert params["holdout_rows"] == "600"


def test_the_artifacts_hold_numbers_tables_and_a_report(client, write):
    run = write()
    document = load(client, run, "evidence.json")
    assert document["judged_at"] == "2026-03-01T12:00:05+00:00"
    assert document["scores"] == {"roc_auc": 0.82, "log_loss": None}
    assert len(load(client, run, "verdicts.json")["data"]) == len(document["verdicts"])
    columns = ["column", "value", "rows", "roc_auc", "log_loss"]
    assert load(client, run, "slices.json")["columns"] == columns
    assert "flight-delay version 2" in mlflow.artifacts.load_text(
        f"{run.info.artifact_uri}/report.html"
    )


def test_a_model_that_could_not_be_measured_has_evidence_too(client, write):
    run = write(
        "refused", scores={}, slices=(), latency_ms=None, failures={"load": "boom"}, comparison=None
    )
    document = load(client, run, "evidence.json")
    assert document["failures"] == {"load": "boom"}
    assert document["production"] is None


@pytest.mark.parametrize(
    ("error", "status"), [(OSError("no space left"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_evidence_that_cannot_be_written_is_a_run_that_ended_so(
    client, make_judgement, error, status
):
    class FullDisk:
        def __getattr__(self, name):
            return getattr(client, name)

        def log_text(self, *_):
            raise error

    with pytest.raises(type(error)):
        record(FullDisk(), make_judgement(), outcome="passed", reason=None, now=NOW)
    [run] = client.search_runs(
        [client.get_experiment_by_name("flights").experiment_id], "tags.`cloche.kind` = 'gate'"
    )
    assert run.info.status == status


def test_two_judgements_at_once_may_log_the_same_holdout(client, make_judgement):
    class Clashing:
        clashed = False

        def __getattr__(self, name):
            return getattr(client, name)

        def log_inputs(self, *arguments):
            if not self.clashed:
                self.clashed = True
                raise MlflowException("UNIQUE constraint failed: datasets")
            client.log_inputs(*arguments)

    run_id = record(Clashing(), make_judgement(), outcome="passed", reason=None, now=NOW)
    assert len(client.get_run(run_id).inputs.dataset_inputs) == 1


def test_a_version_whose_run_is_gone_leaves_its_evidence_in_the_default_experiment(
    client, write, make_judgement
):
    judgement = make_judgement()
    client.delete_run(judgement.candidate.version.run_id)
    judgement.candidate.version._run_id = "0" * 32
    run_id = record(client, judgement, outcome="passed", reason=None, now=NOW)
    assert client.get_run(run_id).info.experiment_id == "0"


def test_force_changes_the_outcome_of_a_refusal_only(make_judgement):
    for auc, outcomes in ((0.82, ["passed", "passed"]), (0.6, ["refused", "forced"])):
        judged = make_judgement(scores={"roc_auc": auc})
        assert [gate_outcome_of(judged, forced=forced) for forced in (False, True)] == outcomes


def test_the_evidence_is_json_without_nan(make_judgement):
    document = evidence(make_judgement(), outcome="forced", reason="because", now=NOW)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["differences"]["log_loss"]["gain"] is None
    assert document["reason"] == "because"
