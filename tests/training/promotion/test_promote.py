"""Promotions on a real store with real models: passed, refused, forced, raced and interrupted."""

import json
import shutil
import signal
import threading
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from cloche.registry.version_listing import registered_models, versions_of
from cloche.training.errors import DataError, GateRefusal, NotMeasured, RecipeError, RegistryError
from cloche.training.gate import probe_process
from cloche.training.promotion.evaluate_candidate import evaluate
from cloche.training.promotion.lock import LEASE, Clock
from cloche.training.promotion.promote import PromotionRefusal, apply, promote
from cloche.training.promotion.promotion_request import PromotionRequest
from cloche.training.promotion.registry import find_model
from tests.training.promotion.conftest import WELL

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_programs")]

MODEL = "flight-delay"
COMPLETE = {
    f"cloche.{key}"
    for key in ("gate", "gate_run_id", "digest", "promoted_at", "promoted_by", "reason")
}


KILLED = probe_process.Exit(
    -signal.SIGKILL, "the process was killed by SIGKILL", "", in_current_environment=True
)


def silent(_step):
    """Progress that nobody watches."""


@pytest.fixture
def asked(client):
    """Ask the gate; nothing is written."""
    return lambda **request: evaluate(
        client, find_model(client, MODEL), PromotionRequest(timeout=120, **request), silent
    )


@pytest.fixture
def act(client, hands):
    """Carry out what the gate said."""
    return lambda evaluated, **request: apply(
        client, evaluated, PromotionRequest(**request), say=silent, clock=hands.clock
    )


@pytest.fixture
def improved(log_version, mark_promoted):
    """Version 1 serves and ranks badly; version 2 asks for promotion and ranks well."""
    mark_promoted(log_version(error=2.0, challenger=False), "production")
    return log_version()


def everything(client):
    """All that the registry holds, and how many runs there are."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    return (
        {model.name: model.aliases for model in registered_models(client)},
        [(v.name, str(v.version), v.tags) for v in client.search_model_versions("")],
        len(client.search_runs(experiments)),
    )


def test_a_machine_that_ends_the_gates_process_leaves_no_verdict(
    client, improved, asked, in_this_process, monkeypatch
):
    before = everything(client)
    monkeypatch.setattr(probe_process, "run_module", lambda *_, **__: KILLED)
    with pytest.raises(NotMeasured, match="version 2 could not be judged, and nothing was written"):
        promote(client, MODEL)
    assert everything(client) == before

    # the one that serves cannot be measured, and somebody accepts that
    ends = [WELL, KILLED]

    def run(module, folder, *_, **__):
        return in_this_process(module, folder) if (ended := ends.pop(0)) is WELL else ended

    monkeypatch.setattr(probe_process, "run_module", run)
    assert asked(allow_breaking=True).outcome == "passed"
    assert ends == []


def test_only_the_judged_version_is_asked_for_single_rows(
    improved, asked, in_this_process, monkeypatch
):
    timed = []

    def run(module, folder, *_, **__):
        timed.append(json.loads((folder / "task.json").read_text())["latency"])
        return in_this_process(module, folder)

    monkeypatch.setattr(probe_process, "run_module", run)
    assert asked().judgement.measured.measurements.latency_ms > 0
    assert timed == [True, False]


def test_a_better_version_is_judged_without_a_trace_and_then_promoted_with_evidence(
    client, log_version, improved, asked, act
):
    log_version("churn")
    before = everything(client)
    evaluated = asked()
    assert everything(client) == before
    assert evaluated.outcome == "passed"

    promotion = act(evaluated)
    assert (promotion.version, promotion.replaced, promotion.mirror_problem) == ("2", "1", None)
    assert find_model(client, MODEL).aliases == {"production": "2", "previous": "1"}
    assert find_model(client, "churn").aliases == {"challenger": "1"}
    tags = client.get_model_version(MODEL, "2").tags
    assert set(tags) >= COMPLETE
    assert (tags["cloche.gate"], tags["cloche.digest"]) == ("passed", evaluated.digest)
    run = client.get_run(tags["cloche.gate_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["gain/roc_auc_bound"] > 0
    for uri in (f"models:/{MODEL}@production", f"models:/{MODEL}/Production"):
        served = mlflow.pyfunc.load_model(uri).metadata
        assert served.get_model_info().model_uuid == evaluated.judgement.candidate.model.model_uuid


def test_a_worse_version_is_refused_with_reasons_and_may_be_forced_with_one(
    client, log_version, mark_promoted, asked, act
):
    mark_promoted(log_version(challenger=False), "production")
    log_version(error=2.0)
    evaluated = asked()
    with pytest.raises(
        PromotionRefusal, match=r"by roc_auc it is .* worse than production version 1"
    ) as no:
        act(evaluated)
    assert isinstance(no.value, GateRefusal)
    assert find_model(client, MODEL).aliases == {"production": "1", "challenger": "2"}
    tags = client.get_model_version(MODEL, "2").tags
    assert tags == {"cloche.gate": "refused", "cloche.gate_run_id": no.value.run_id}

    forced = act(replace(evaluated, outcome="forced"), force=True, reason="the holdout is stale")
    assert find_model(client, MODEL).aliases == {"production": "2", "previous": "1"}
    tags = client.get_model_version(MODEL, "2").tags
    assert (tags["cloche.gate"], tags["cloche.reason"]) == ("forced", "the holdout is stale")
    evidence = json.loads(
        mlflow.artifacts.load_text(
            f"{client.get_run(forced.run_id).info.artifact_uri}/evidence.json"
        )
    )
    assert evidence["outcome"] == "forced"
    assert "failed" in {verdict["result"] for verdict in evidence["verdicts"]}


def test_a_first_version_of_a_stranger_is_promoted_by_a_policy_from_a_file(
    client, log_version, tmp_path, holdout, hands
):
    log_version(by_cloche=False, challenger=False)
    rows, policy = tmp_path / "rows.csv", tmp_path / "gate.yaml"
    holdout.to_csv(rows, index=False)
    policy.write_text(
        f"task: binary\ntarget: late\nslices: [origin]\ndata: {{source: '{rows}'}}\n"
        "gate: {minimum: {roc_auc: 0.7}, resamples: 100}\n"
    )
    with pytest.raises(RegistryError, match=r"carries no criteria.*--policy FILE"):
        promote(client, MODEL, PromotionRequest(version="1"), clock=hands.clock)
    request = PromotionRequest(version="1", policy=str(policy), timeout=120)
    promotion = promote(client, MODEL, request, clock=hands.clock)
    assert promotion.evaluated.outcome == "passed"
    assert find_model(client, MODEL).aliases == {"production": "1"}


def test_force_without_a_reason_is_not_even_asked_for():
    with pytest.raises(ValueError, match="needs a reason"):
        PromotionRequest(force=True, reason=" ")


def test_a_policy_that_cannot_be_used_changes_nothing(client, log_version, tmp_path, hands):
    log_version()
    policy = tmp_path / "gate.yaml"
    before = everything(client)
    for data, error in (("", RecipeError), ("data: {source: nowhere.csv}\n", DataError)):
        policy.write_text(f"task: binary\ntarget: late\n{data}")
        with pytest.raises(error):
            promote(client, MODEL, PromotionRequest(policy=str(policy)), clock=hands.clock)
    assert everything(client) == before


def test_artifacts_that_are_gone_are_an_error_and_no_refusal(client, hands):
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, "file:///nowhere/at/all")
    with pytest.raises(RegistryError, match="flight-delay version 1 cannot be fetched"):
        promote(client, MODEL, PromotionRequest(version="1"), clock=hands.clock)


@pytest.mark.usefixtures("in_this_process")
def test_an_alias_that_moved_meanwhile_voids_the_verdict(client, improved, asked, act, log_version):
    evaluated = asked()
    later = log_version(challenger=False)
    for alias, before in (("production", "1"), ("challenger", "2")):
        client.set_registered_model_alias(MODEL, alias, later)
        moved = find_model(client, MODEL)
        with pytest.raises(
            RegistryError, match=f"{alias} moved from {before} to 3 while .* run the command again"
        ):
            act(evaluated)
        assert find_model(client, MODEL) == moved
        client.set_registered_model_alias(MODEL, alias, before)
    client.set_registered_model_alias(MODEL, "challenger", later)
    assert act(asked()).version == later


@pytest.mark.usefixtures("in_this_process")
def test_of_two_people_at_once_one_wins_and_the_other_is_told(client, improved, asked):
    evaluated = asked()
    ready, results = threading.Barrier(2), []

    def work():
        own = MlflowClient(client.tracking_uri, client.tracking_uri)
        ready.wait()
        try:
            results.append(apply(own, evaluated, PromotionRequest(), say=silent, clock=Clock()))
        except RegistryError as error:
            results.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    with warnings.catch_warnings():
        # Filters belong to the process, and two people have one each: here the threads would
        # undo one another's.
        warnings.simplefilter("ignore")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    told = [str(result) for result in results if isinstance(result, RegistryError)]
    assert len(results) == 2
    assert len(told) == 1
    assert "run the command again" in told[0]
    assert find_model(client, MODEL).aliases == {"production": "2", "previous": "1"}


class Died(BaseException):
    """The process is gone: nobody catches this."""


class Mortal:
    """A client that dies at its n-th write, and answers nothing from then on."""

    def __init__(self, client, lives):
        self._client, self._lives = client, lives
        self.died_at = None

    def __getattr__(self, name):
        value = getattr(self._client, name)
        if not callable(value):
            return value

        def call(*arguments, **options):
            writes = name.startswith(("set_", "delete_", "log_", "create_", "transition_"))
            if self._lives == 0 or (writes and self._lives == 1):
                self._lives = 0
                self.died_at = self.died_at or name
                raise Died
            self._lives -= writes
            return value(*arguments, **options)

        return call


@pytest.mark.usefixtures("in_this_process")
def test_a_promotion_that_dies_at_any_write_leaves_production_on_a_complete_version(
    client, log_version, asked, act, hands
):
    log_version(error=2.0, gate={"minimum": {}})
    act(asked())
    log_version()
    evaluated = asked()

    store = Path(client.tracking_uri.removeprefix("sqlite:///"))
    deaths = []
    while None not in deaths:
        copy = shutil.copy(store, store.with_name(f"life-{len(deaths)}.db"))
        own = MlflowClient(f"sqlite:///{copy}", f"sqlite:///{copy}")
        mortal = Mortal(own, len(deaths) + 1)
        with suppress(Died):
            apply(mortal, evaluated, PromotionRequest(), say=silent, clock=hands.clock)
        deaths.append(mortal.died_at)

        serving = find_model(own, MODEL).production
        tags = own.get_model_version(MODEL, serving).tags
        assert set(tags) >= COMPLETE, f"died at {deaths[-1]}"
        run = own.get_run(tags["cloche.gate_run_id"])
        assert run.info.status == "FINISHED"
        assert "report.html" in {file.path for file in own.list_artifacts(run.info.run_id)}

        if "set_terminated" not in deaths:
            continue  # no more than an unfinished run was left behind
        hands.move(LEASE.total_seconds())
        if serving == "2":
            promote(own, MODEL, PromotionRequest(version="2"), clock=hands.clock)
        else:
            apply(own, evaluated, PromotionRequest(), say=silent, clock=hands.clock)
        assert find_model(own, MODEL).aliases == {"production": "2", "previous": "1"}
        stages = [version.current_stage for version in versions_of(own, MODEL)]
        assert stages == ["Production", "Archived"]

    assert deaths[0] == "create_run"
    assert deaths.count("set_registered_model_alias") == 2
    assert "transition_model_version_stage" in deaths


def test_a_version_whose_alias_was_set_by_hand_is_judged_and_stays(client, log_version, hands):
    log_version(challenger=False)
    client.set_registered_model_alias(MODEL, "production", "1")

    judged = promote(client, MODEL, PromotionRequest(version="1"), clock=hands.clock)

    assert (judged.evaluated.outcome, judged.replaced) == ("passed", None)
    assert find_model(client, MODEL).aliases == {"production": "1"}
    assert client.get_model_version(MODEL, "1").tags.keys() >= COMPLETE
    again = promote(client, MODEL, PromotionRequest(version="1"), clock=hands.clock)
    assert again.evaluated is None


def test_a_version_in_production_by_hand_that_is_refused_is_said_so_and_stays(
    client, log_version, hands
):
    log_version(gate={"minimum": {"roc_auc": 0.999}}, challenger=False)
    client.set_registered_model_alias(MODEL, "production", "1")
    with pytest.raises(PromotionRefusal):
        promote(client, MODEL, PromotionRequest(version="1"), clock=hands.clock)
    assert find_model(client, MODEL).aliases == {"production": "1"}
    assert client.get_model_version(MODEL, "1").tags["cloche.gate"] == "refused"


@pytest.mark.usefixtures("in_this_process")
def test_a_gradual_promotion_leaves_the_aliases_to_the_rollout(client, log_version, asked, act):
    log_version(error=2.0, gate={"minimum": {}})
    first = act(asked(), gradually=True)
    assert (first.gradually, find_model(client, MODEL).production) == (False, "1")  # none served

    log_version()
    gradual = act(asked(), gradually=True)
    assert gradual.gradually
    assert find_model(client, MODEL).aliases == {"production": "1", "challenger": "2"}
    tags = client.get_model_version(MODEL, "2").tags
    assert set(tags) == {"cloche.gate", "cloche.gate_run_id", "cloche.digest"}
    assert tags["cloche.gate"] == "passed"
