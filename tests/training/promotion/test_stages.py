"""A version and the stage before it are judged, promoted, and taken back as one."""

import functools
import json
import shutil
import sys
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema

from cloche.registry.version_digest import digest_tree
from cloche.training.cli.promote import promote as command
from cloche.training.cli.rollback import rollback as rollback_command
from cloche.training.cli.status import status as status_command
from cloche.training.errors import GateRefusal, RegistryError
from cloche.training.gate.evidence_run import record
from cloche.training.promotion import promote as promoting
from cloche.training.promotion import rollback
from cloche.training.promotion.evaluate_candidate import evaluate
from cloche.training.promotion.lock import LEASE
from cloche.training.promotion.promote import PromotionRefusal, apply, promote
from cloche.training.promotion.promotion_request import PromotionRequest
from cloche.training.promotion.registry import find_model
from cloche.training.promotion.rollback import roll_back
from cloche.training.promotion.stage_tags import note_former
from tests.shelf import shelf
from tests.training.conftest import make_holdout
from tests.training.promotion.test_promote import COMPLETE, Died, Mortal, everything

pytestmark = pytest.mark.slow

MODEL, STAGE = "flight-delay", "flight-features"
GOOD, BAD, WRONG, LACKING = "good", "bad", "wrong column", "lacking"
TAKEN = ["minute", "wind", "gust"]


class Features(PythonModel):
    """Prepares a flight: the model takes hours, and flights have minutes."""

    def __init__(self, kind):
        self.kind = kind

    def predict(self, context, model_input, params=None):
        if self.kind == LACKING:
            raise LookupError("the store has no feature 'wind_speed' of the view weather")
        hour = model_input["minute"] / (-60 if self.kind == BAD else 60)
        return model_input.assign(hour=hour)[["hour", "wind", "gust"]]


cloudpickle.register_pickle_by_value(sys.modules[__name__])


def raw_rows() -> pd.DataFrame:
    """The rows of `make_holdout` before a stage prepared them."""
    rows = make_holdout()
    rows.insert(0, "minute", 60 * rows.pop("hour"))
    return rows


@functools.cache
def saved(kind: str) -> Path:
    """A stage that this process saves once; nothing writes to it."""
    folder = shelf() / f"stage {kind}"
    answered = ["hours" if kind == WRONG else "hour", "wind", "gust"]
    taken, given = (Schema([ColSpec("double", one) for one in each]) for each in (TAKEN, answered))
    with warnings.catch_warnings(action="ignore"):
        mlflow.pyfunc.save_model(
            folder, python_model=Features(kind), signature=ModelSignature(taken, given),
            input_example=None if kind == LACKING else raw_rows()[TAKEN].head(1),
            pip_requirements=[],
        )  # fmt: skip
    return folder


@pytest.fixture
def log_stage(client):
    """(kind) → a new version of the stage, which becomes its production."""

    def log(kind: str = GOOD) -> None:
        if STAGE not in {found.name for found in client.search_registered_models()}:
            client.create_registered_model(STAGE)
        version = str(client.create_model_version(STAGE, str(saved(kind))).version)
        client.set_registered_model_alias(STAGE, "production", version)

    return log


@pytest.fixture
def log_behind(client, log_version):
    """(stage, **of `log_version`) → the number of a challenger behind a stage, with raw rows."""

    def log(stage: str | None = f"models:/{STAGE}/1", **options: Any) -> str:
        version = log_version(holdout=options.pop("holdout", raw_rows()), **options)
        if stage:
            client.set_model_version_tag(MODEL, version, "cloche.before", stage)
        return version

    return log


@pytest.fixture
def go(client, hands, in_this_process):
    """Promote, with the options of a request."""

    def go(**request: Any):
        hands.move(60)
        wanted = PromotionRequest(timeout=120, **request)
        return promote(client, MODEL, wanted, clock=hands.clock)

    return go


def tags_of(client: MlflowClient, version: str) -> dict[str, str]:
    tags: dict[str, str] = client.get_model_version(MODEL, version).tags
    return tags


def before(client: MlflowClient, version: str) -> str | None:
    return tags_of(client, version).get("cloche.before")


def evidence_of(client: MlflowClient, run_id: str) -> dict[str, Any]:
    uri = f"{client.get_run(run_id).info.artifact_uri}/evidence.json"
    document: dict[str, Any] = json.loads(mlflow.artifacts.load_text(uri))
    return document


def run(cli, *arguments):
    return CliRunner().invoke(cli, [MODEL, *arguments])


@pytest.mark.usefixtures("forked_programs")  # the gate's own process, once
def test_a_pair_is_judged_on_raw_rows_and_goes_into_production_with_the_stages_number(
    client, log_stage, log_behind
):
    log_stage()
    log_behind(f"models:/{STAGE}@production", gate={"minimum": {"roc_auc": 0.7}})

    shown = run(command)

    assert shown.exit_code == 0, shown.output
    assert f"{MODEL} version 1 after {STAGE} 1: passed" in shown.stdout
    words = " ".join(shown.stdout.split())
    assert f"{MODEL} version 1 is in production. {STAGE} 1 goes with it. " in words
    assert f"was models:/{STAGE}@production and is models:/{STAGE}/1 now." in words
    tags = tags_of(client, "1")
    assert tags.keys() >= COMPLETE
    assert tags["cloche.before"] == f"models:/{STAGE}/1"
    found = client.get_run(tags["cloche.gate_run_id"])
    assert found.data.tags["cloche.stages"] == f"models:/{STAGE}/1"
    assert found.data.params["stages"] == f"models:/{STAGE}/1"
    document = evidence_of(client, found.info.run_id)
    [stage] = document["stages"]
    assert (stage["name"], stage["number"], stage["uri"]) == (STAGE, "1", f"models:/{STAGE}/1")
    source = client.get_model_version(STAGE, "1").source
    assert stage["digest"] == digest_tree(Path(source.removeprefix("file://")))
    assert document["latency_ms"] > 0
    report = mlflow.artifacts.load_text(f"{found.info.artifact_uri}/report.html")
    assert f"<title>{MODEL} version 1 after {STAGE} 1: passed</title>" in report


def test_a_pair_is_compared_with_the_pair_that_serves_and_a_rollback_takes_both_back(
    client, log_stage, log_behind, go, hands
):
    log_stage()
    log_behind(error=2.0)
    go()
    log_stage()
    log_behind(f"models:/{STAGE}/2")

    done = go()

    judgement = done.evaluated.judgement
    assert judgement.production.number_with_stages == f"1 after {STAGE} 1"
    assert judgement.measured.measurements.comparison.differences["roc_auc"].gain > 0
    [production_stage] = evidence_of(client, done.run_id)["production_stages"]
    assert production_stage["number"] == "1"
    assert (before(client, "1"), before(client, "2")) == (
        f"models:/{STAGE}/1",
        f"models:/{STAGE}/2",
    )
    assert roll_back(client, MODEL, clock=hands.clock).version == "1"
    serving = find_model(client, MODEL).production
    assert before(client, serving) == f"models:/{STAGE}/1"


def test_a_pair_that_is_worse_is_refused_by_its_metric(client, log_stage, log_behind, go):
    log_stage()
    log_behind()
    go()
    log_stage(BAD)
    log_behind(f"models:/{STAGE}/2")
    with pytest.raises(PromotionRefusal, match=f"(?s)version 2 after {STAGE} 2\n.*worse than prod"):
        go()
    assert find_model(client, MODEL).production == "1"
    assert tags_of(client, "2")["cloche.gate"] == "refused"


def test_a_pair_that_does_not_fit_is_refused_before_anything_is_measured(
    client, log_stage, log_behind, go
):
    log_stage(WRONG)
    log_behind()
    state = everything(client)
    with pytest.raises(GateRefusal, match=f"{MODEL} 1 takes 'hour', which .* --before URI"):
        go()
    assert everything(client) == state
    log_stage(GOOD)
    go(before=f"models:/{STAGE}@production")
    assert before(client, "1") == f"models:/{STAGE}/2"


def test_a_stage_whose_store_lacks_a_feature_is_refused_in_its_own_words(
    client, log_stage, log_behind, go
):
    log_stage(LACKING)
    log_behind()
    with pytest.raises(PromotionRefusal, match="has no feature 'wind_speed' of the view weather"):
        go()
    assert find_model(client, MODEL).production is None


def test_a_holdout_of_prepared_rows_is_told_with_its_columns_and_a_policy_helps(
    client, log_stage, log_behind, go, tmp_path
):
    log_stage()
    log_behind(holdout=make_holdout())
    with pytest.raises(RegistryError, match=r"takes 'minute', and the holdout .*--policy FILE"):
        go()
    rows, policy = tmp_path / "rows.csv", tmp_path / "gate.yaml"
    raw_rows().to_csv(rows, index=False)
    policy.write_text(
        f"task: binary\ntarget: late\ndata: {{source: '{rows}'}}\ngate: {{resamples: 100}}\n"
    )
    go(policy=str(policy))
    assert find_model(client, MODEL).production == "1"


def test_a_stage_that_is_not_there_is_told_and_a_version_is_judged_without(client, log_behind, go):
    log_behind(holdout=make_holdout())
    with pytest.raises(
        RegistryError, match=f"version 1, models:/{STAGE}/1, is not .*--before none"
    ):
        go()
    done = go(before="none")
    assert done.evaluated.judgement.candidate.stages == ()
    assert (before(client, "1"), find_model(client, MODEL).production) == (None, "1")


def test_stages_that_name_each_other_are_told(client, log_stage, log_behind, go):
    log_stage()
    client.set_model_version_tag(STAGE, "1", "cloche.before", f"models:/{STAGE}/1")
    log_behind()
    with pytest.raises(RegistryError, match=r"more than 8 stages .* in a circle"):
        go()


def test_artifacts_outside_the_registry_stay_as_they_are_named(client, log_stage, log_behind, go):
    log_stage()
    folder = client.get_model_version(STAGE, "1").source
    log_behind(folder)
    go()
    assert before(client, "1") == folder


def test_another_stage_alone_is_judged_promoted_and_taken_back(
    client, log_stage, log_behind, go, hands
):
    log_stage(BAD)
    log_behind(gate={"minimum": {}})
    go()
    first = tags_of(client, "1")
    log_stage(GOOD)

    shown = run(command, "--before", f"models:/{STAGE}@production")

    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.stdout.split())
    assert f"1 after {STAGE} 2 against version 1 after {STAGE} 1 in production: passed" in words
    assert f"Version 1 after {STAGE} 1 served before; `cloche rollback {MODEL}` brings" in words
    assert find_model(client, MODEL).aliases == {"production": "1"}
    second = tags_of(client, "1")
    assert second["cloche.before"] == f"models:/{STAGE}/2"
    assert second["cloche.gate_run_id"] != first["cloche.gate_run_id"]
    assert "nothing was judged" in run(command, "--before", f"models:/{STAGE}/2").stdout

    taken_back = run(rollback_command)

    assert f"before it is models:/{STAGE}/1 again" in " ".join(taken_back.stdout.split())
    third = tags_of(client, "1")
    assert third["cloche.before"] == f"models:/{STAGE}/1"
    assert third["cloche.gate_run_id"] == first["cloche.gate_run_id"]
    done = roll_back(client, MODEL, clock=hands.clock)
    assert (done.before, done.replaced_before) == (f"models:/{STAGE}/2", f"models:/{STAGE}/1")
    assert tags_of(client, "1")["cloche.gate_run_id"] == second["cloche.gate_run_id"]


def test_another_stage_alone_that_is_worse_changes_nothing_of_what_serves(
    client, log_stage, log_behind, go
):
    log_stage()
    log_behind()
    go()
    log_stage(BAD)
    tags = tags_of(client, "1")
    with pytest.raises(PromotionRefusal, match=f"version 1 after {STAGE} 2"):
        go(before=f"models:/{STAGE}/2")
    assert tags_of(client, "1") == tags


def test_a_rollback_after_a_change_of_stage_and_a_promotion_goes_to_the_version(
    client, log_stage, log_behind, go, hands
):
    log_stage(BAD)
    log_behind(gate={"minimum": {}}, error=1.0)
    go()
    log_stage()
    go(before=f"models:/{STAGE}/2")
    log_behind(f"models:/{STAGE}/2")
    go()
    assert roll_back(client, MODEL, clock=hands.clock).version == "1"
    assert before(client, "1") == f"models:/{STAGE}/2"
    hands.move(60)
    assert roll_back(client, MODEL, clock=hands.clock).version == "2"


def test_a_stage_that_changed_while_the_pair_was_judged_voids_the_verdict(
    client, log_stage, log_behind, go, hands
):
    log_stage()
    log_behind()
    asked = PromotionRequest(timeout=120)
    evaluated = evaluate(client, find_model(client, MODEL), asked, lambda _: None)
    log_stage()
    client.set_model_version_tag(MODEL, "1", "cloche.before", f"models:/{STAGE}/2")
    with pytest.raises(RegistryError, match=r"changed from .*/1 to .*/2 .* run the command again"):
        apply(client, evaluated, asked, say=lambda _: None, clock=hands.clock)
    assert find_model(client, MODEL).production is None
    go()
    assert before(client, "1") == f"models:/{STAGE}/2"


def test_a_serving_pair_that_does_not_fit_any_more_needs_allow_breaking(
    client, log_stage, log_behind, go
):
    log_stage()
    log_behind()
    go()
    log_stage(WRONG)
    client.set_model_version_tag(MODEL, "1", "cloche.before", f"models:/{STAGE}@production")
    log_behind()
    with pytest.raises(PromotionRefusal, match=r"cannot be compared: .* takes 'hour'"):
        go()
    go(allow_breaking=True)
    assert find_model(client, MODEL).production == "2"


@pytest.mark.parametrize(
    "stage_alone",
    [False, pytest.param(True, marks=pytest.mark.breadth)],
    ids=["pair", "stage alone"],
)
def test_a_change_that_dies_at_any_write_leaves_a_judged_pair_in_production(
    client, log_stage, log_behind, go, *, hands, monkeypatch, stage_alone
):
    log_stage(BAD)
    log_behind(gate={"minimum": {}}, error=1.0)
    go()
    log_stage()
    request = PromotionRequest(before=f"models:/{STAGE}/2") if stage_alone else PromotionRequest()
    if not stage_alone:
        log_behind(f"models:/{STAGE}@production")
    evaluated = evaluate(client, find_model(client, MODEL), request, lambda _: None)
    wanted = ("1" if stage_alone else "2", f"models:/{STAGE}/2")
    # Deaths before the evidence is written are those of a promotion without stages.
    written = record(
        client, evaluated.judgement, outcome="passed", reason=None, now=hands.clock.now()
    )
    monkeypatch.setattr(promoting, "record", lambda *_, **__: written)

    store = Path(client.tracking_uri.removeprefix("sqlite:///"))
    deaths: list[str | None] = []
    states = []
    while None not in deaths:
        copy = shutil.copy(store, store.with_name(f"life-{len(deaths)}.db"))
        own = MlflowClient(f"sqlite:///{copy}", f"sqlite:///{copy}")
        mortal = Mortal(own, len(deaths) + 1)
        with suppress(Died):
            apply(mortal, evaluated, request, say=lambda _: None, clock=hands.clock)
        deaths.append(mortal.died_at)

        serving = find_model(own, MODEL).production
        states.append((serving, before(own, serving)))
        assert states[-1] in {("1", f"models:/{STAGE}/1"), wanted}, f"died at {deaths[-1]}"
        assert set(tags_of(own, serving)) >= COMPLETE
        hands.move(LEASE.total_seconds())
        if states[-1] == wanted:
            promote(own, MODEL, replace(request, version=wanted[0]), clock=hands.clock)
        else:
            apply(own, evaluated, request, say=lambda _: None, clock=hands.clock)
        assert (find_model(own, MODEL).production, before(own, wanted[0])) == wanted
        hands.move(LEASE.total_seconds())
        roll_back(own, MODEL, clock=hands.clock)
        assert before(own, find_model(own, MODEL).production) == f"models:/{STAGE}/1"
    assert states[0] != states[-1] == wanted


def test_a_rollback_after_an_interrupted_change_of_the_stage_asks_for_a_version(
    client, mark_promoted, log_behind, hands
):
    for alias in ("previous", "production"):
        mark_promoted(log_behind(challenger=False), alias)
    noted = note_former(tags_of(client, "2"), None)
    client.set_model_version_tag(MODEL, "2", "cloche.before_previous", noted)
    with pytest.raises(
        RegistryError, match=r"version 2 was interrupted \(.*/1 is before it\); .*--to"
    ):
        roll_back(client, MODEL, clock=hands.clock)
    assert roll_back(client, MODEL, to="1", clock=hands.clock).version == "1"


def another_stage_serves(client, mark_promoted):
    """Version 1 serves with the second version of its stage, and the first is noted."""
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, "file:///nowhere")
    mark_promoted("1", "production")
    client.set_model_version_tag(MODEL, "1", "cloche.before", "models:/s/1")
    noted = note_former(tags_of(client, "1"), None)
    client.set_model_version_tag(MODEL, "1", "cloche.before_previous", noted)
    client.set_model_version_tag(MODEL, "1", "cloche.before", "models:/s/2")


def test_a_stage_that_changes_while_it_is_taken_back_is_told(
    client, mark_promoted, hands, monkeypatch
):
    another_stage_serves(client, mark_promoted)
    lock = rollback.promotion_lock

    def late(*arguments):
        client.set_model_version_tag(MODEL, "1", "cloche.before", "models:/s/3")
        return lock(*arguments)

    monkeypatch.setattr(rollback, "promotion_lock", late)
    with pytest.raises(RegistryError, match=r"the stage before .* version 1 changed just now"):
        roll_back(client, MODEL, clock=hands.clock)
    assert before(client, "1") == "models:/s/3"


def test_a_rollback_of_the_stage_that_dies_at_any_write_leaves_one_of_both(
    client, mark_promoted, hands
):
    another_stage_serves(client, mark_promoted)
    store, deaths = Path(client.tracking_uri.removeprefix("sqlite:///")), []
    while None not in deaths:
        copy = shutil.copy(store, store.with_name(f"life-{len(deaths)}.db"))
        own = MlflowClient(f"sqlite:///{copy}", f"sqlite:///{copy}")
        mortal = Mortal(own, len(deaths) + 1)
        with suppress(Died):
            roll_back(mortal, MODEL, clock=hands.clock)
        deaths.append(mortal.died_at)
        hands.move(LEASE.total_seconds())
        if before(own, "1") == "models:/s/2":
            roll_back(own, MODEL, clock=hands.clock)
        assert before(own, "1") == "models:/s/1"
        assert tags_of(own, "1").keys() >= COMPLETE - {"cloche.promoted_by", "cloche.reason"}
    assert deaths.count("set_model_version_tag") >= 7


def test_an_interrupted_change_of_the_stage_keeps_the_evidence_that_it_noted_first() -> None:
    tags = {"cloche.before": "models:/s/1", "cloche.gate": "passed", "cloche.gate_run_id": "one"}
    noted = note_former(tags, None)
    interrupted = {**tags, "cloche.before_previous": noted, "cloche.gate_run_id": "two"}
    assert note_former(interrupted, None) == noted
    changed = {**interrupted, "cloche.before": "models:/s/2"}
    assert json.loads(note_former(changed, None))["cloche.gate_run_id"] == "two"


def test_status_shows_the_pair_and_what_is_wrong_with_it(client, log_stage, log_behind, go):
    log_stage()
    log_behind()
    go()
    assert f"{MODEL} 1 (production), after {STAGE} 1\n" in run(status_command).stdout
    assert "Note" not in run(status_command).stdout
    [shown] = json.loads(run(status_command, "--json").stdout)["models"]
    assert shown["versions"][0]["stages"] == [f"{STAGE} 1"]

    log_stage()
    client.set_model_version_tag(MODEL, "1", "cloche.before", f" models:/{STAGE}@production ")
    moved = run(status_command).stdout
    assert f"1 after models:/{STAGE}/1, and models:/{STAGE}/2 is before it now" in moved
    advised = f"cloche promote {MODEL} --version 1 --before models:/{STAGE}/"
    assert f"`{advised}2` judges that, and `{advised}1` goes back" in moved
    assert run(command, "--version", "1", "--before", f"models:/{STAGE}/2").exit_code == 0
    assert "Note" not in run(status_command).stdout

    log_stage(WRONG)
    client.set_model_version_tag(MODEL, "1", "cloche.before", f"models:/{STAGE}@production")
    misfit = f"Note: {MODEL} 1 takes 'hour', which the stage"
    assert misfit in run(status_command).stdout
    for name in ("others", "that", "make the overview brief"):
        client.create_registered_model(name)
        client.create_model_version(name, "file:///nowhere")
    overview = CliRunner().invoke(status_command).stdout
    assert f"{MODEL} 1 (production), after {STAGE} 3\n{misfit}" in overview
    assert "5 models" in overview
    client.delete_registered_model(STAGE)
    assert f"models:/{STAGE}@production, is not in the registry" in run(status_command).stdout


def test_without_stages_no_document_and_no_call_names_them(client, log_version, go):
    log_version(gate={"minimum": {"roc_auc": 0.7}})
    done = go()
    assert not [key for key in evidence_of(client, done.run_id) if "stage" in key]
    assert not [key for key in client.get_run(done.run_id).data.params if "stage" in key]
    assert "cloche.stages" not in client.get_run(done.run_id).data.tags
    assert tags_of(client, "1").keys() == COMPLETE
    [shown] = json.loads(run(status_command, "--json").stdout)["models"]
    assert not [key for key in shown["versions"][0] if "stage" in key]
    assert "stage" not in run(status_command).stdout
