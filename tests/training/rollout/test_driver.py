"""Rollouts on a real registry with a server that counts: promoted, aborted, held, cut short."""

import json
from datetime import timedelta

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from cloche.registry.lease import Lease
from cloche.training.errors import RegistryError, RolloutAborted
from cloche.training.promotion.registry import find_model
from cloche.training.promotion.rollback import roll_back
from tests.training.rollout.conftest import MODEL, FakeServer

DRIVER = "cloche.rollout_driver"
SHADOW = {"percent": 20, "requests": 1000, "disagreement": 0.05}


def tags(client, version="2"):
    return client.get_model_version(MODEL, version).tags


def document(client, run_id):
    uri = client.get_run(run_id).info.artifact_uri
    return json.loads(mlflow.artifacts.load_text(f"{uri}/rollout.json"))


def left(client):
    """The tags of a rollout that version 2 still has."""
    return {key for key in tags(client) if "rollout" in key or "percent" in key}


def test_a_good_version_goes_through_shadow_and_steps_into_production(two, server, walk, shown):
    end = walk(changes={"shadow": SHADOW})

    assert (end.outcome, end.version, end.mirror_problem) == ("promoted", "2", None)
    assert server.served == ["shadow 20", "canary 10", "canary 50"]
    assert find_model(two, MODEL).aliases == {"production": "2", "previous": "1"}
    assert left(two) == {"cloche.rollout", "cloche.rollout_plan", "cloche.rollout_run_id"}
    assert tags(two)["cloche.rollout"] == "promoted: passed the gate and a rollout at 10, 50 %"
    assert tags(two)["cloche.reason"] == "passed the gate and a rollout at 10, 50 %"
    assert [look.verdict.decision for look in shown.looks][-1] == "advance"

    run = two.get_run(end.run_id)
    assert (run.info.status, run.data.tags["cloche.decision"]) == ("FINISHED", "promoted")
    told = document(two, end.run_id)
    assert [event["what"] for event in told["events"]] == [
        "begin of 10 % of the callers, step 1 of 2",
        "begin of 50 % of the callers, step 2 of 2",
        "promoted",
    ]
    assert told["looks"]["evidence/failures_no_worse"][-1][1] > 4.6
    report = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/report.html")
    assert "<title>flight-delay version 2: rollout promoted</title>" in report
    assert "plots/evidence.png" in [one.path for one in two.list_artifacts(end.run_id, "plots")]

    roll_back(two, MODEL)
    assert find_model(two, MODEL).production == "1"


def test_a_version_that_fails_is_aborted_and_loses_its_traffic(two, server, walk):
    server.fails = 0.3
    with pytest.raises(RolloutAborted, match=r"version 2 was aborted: the canary failed .* of"):
        walk()

    assert find_model(two, MODEL).aliases == {"production": "1", "challenger": "2"}
    assert tags(two)["cloche.rollout"].startswith("aborted: the canary failed")
    assert left(two) == {"cloche.rollout", "cloche.rollout_plan", "cloche.rollout_run_id"}
    run = two.get_run(tags(two)["cloche.rollout_run_id"])
    assert (run.info.status, run.data.tags["cloche.decision"]) == ("FINISHED", "aborted")

    server.fails = 0.0
    with pytest.raises(RolloutAborted, match=r"`cloche rollout flight-delay --version 2 --retry`"):
        walk()
    assert walk(retry=True).outcome == "promoted"


def test_a_servers_own_abort_ends_the_rollout_with_its_reason(two, server, walk, moments):
    def end_by_itself(_):
        if len(server.served) == 2:
            two.set_model_version_tag(MODEL, "2", "cloche.rollout", "aborted: 4 lost hosts")
            two.delete_registered_model_alias(MODEL, "canary")
            moments.each.remove(end_by_itself)

    moments.each.append(end_by_itself)
    with pytest.raises(RolloutAborted, match="was aborted: 4 lost hosts"):
        walk()
    assert "cloche.rollout_step" not in tags(two)


def test_two_servers_add_up(two, server, walk, moments, shown):
    other = FakeServer(two, "host-2")
    moments.each.append(other.count)
    walk()
    first = next(look for look in shown.looks if len(look.state.servers) == 2)
    assert first.arms["canary"].requests == 2 * 200


def test_a_shadow_alone_ends_before_any_caller_gets_its_answers(two, server, walk):
    end = walk(shadow_only=True)
    assert (end.outcome, server.served) == ("passed", ["shadow 10"])
    assert find_model(two, MODEL).aliases == {"production": "1", "challenger": "2"}
    assert tags(two)["cloche.rollout"].startswith("passed: the shadow differs from production in 0")
    assert "cloche.shadow_percent" not in tags(two)


class Killed(BaseException):
    """The process is gone: nobody catches this."""


def killed_after(moments, minutes):
    """Kill the driver after some time."""
    end = moments.moment.timestamp() + 60 * minutes

    def kill(now):
        if now >= end:
            moments.each.remove(kill)
            raise Killed

    moments.each.append(kill)


def test_a_shadow_that_differs_holds_and_people_are_told_at_the_deadline(
    two, server, walk, moments, shown
):
    server.fails = 0.2
    killed_after(moments, 10)
    with pytest.raises(Killed):
        walk(changes={"shadow": SHADOW, "deadline_hours": 0.1})
    assert server.served == ["shadow 20"]
    assert tags(two)["cloche.rollout"].startswith("holding: no step for 0.1 hours; the shadow")
    assert sum("holds: no step for 0.1 hours" in said for said in shown.said) == 1
    assert "decide whether it is meant" in shown.looks[-1].reasons[0]


def test_without_any_server_a_sentence_says_so(two, server, walk, moments, shown):
    server.silent = True
    killed_after(moments, 3)
    with pytest.raises(Killed):
        walk()
    assert "no server has told" not in shown.looks[0].reasons[0]
    assert "no server has told what it counts: is one running" in shown.looks[-1].reasons[0]


def test_a_driver_that_was_killed_is_followed_by_another_that_goes_on(
    two, server, walk, moments, shown
):
    killed_after(moments, 2)
    with pytest.raises(Killed):
        walk()
    step, run_id = tags(two)["cloche.rollout_step"], tags(two)["cloche.rollout_run_id"]
    assert '"percent": 50' in step

    two.set_registered_model_alias(MODEL, "challenger", "1")  # a newer one would be no reason
    end = walk()
    assert (end.outcome, end.run_id) == ("promoted", run_id)
    assert server.served == ["canary 10", "canary 50"]
    assert "begin of 50 % of the callers, step 2 of 2" in [
        event["what"] for event in document(two, run_id)["events"]
    ]


def test_a_rollout_that_goes_on_keeps_its_plan(two, server, walk, moments):
    killed_after(moments, 1)
    with pytest.raises(Killed):
        walk()
    with pytest.raises(RegistryError, match="goes on by another plan; leave out --plan and --ste"):
        walk(steps="5,6")


def lease_of_ana(moments, seconds):
    now = moments.moment
    return Lease("other", "ana", now, now + timedelta(seconds=seconds)).to_text()


def test_a_driver_that_is_alive_keeps_a_second_one_away(two, server, walk, moments):
    def prolong(_):
        two.set_model_version_tag(MODEL, "2", DRIVER, lease_of_ana(moments, 60))

    prolong(0)
    moments.each.append(prolong)
    with pytest.raises(RegistryError, match=r"ana drives .* `cloche rollout pause flight-delay`"):
        walk()
    assert server.served == []


def test_a_driver_that_another_one_has_replaced_leaves_everything_to_it(two, server, walk, moments):
    def replace_it(_):
        two.set_model_version_tag(MODEL, "2", DRIVER, lease_of_ana(moments, 60))

    moments.each.append(replace_it)
    with pytest.raises(RegistryError, match="ana drives the rollout"):
        walk()
    assert "ana" in tags(two)[DRIVER]
    assert tags(two)["cloche.rollout"].startswith("running")


def test_a_person_who_steers_by_hand_wins_and_may_give_it_back(two, server, walk, moments):
    def by_hand(_):
        if server.served == ["canary 10"]:
            moments.each.remove(by_hand)
            two.set_model_version_tag(MODEL, "2", "cloche.canary_percent", "2")

    moments.each.append(by_hand)
    with pytest.raises(RegistryError, match=r"canary_percent is 2: somebody steers .* resume"):
        walk()
    assert tags(two)["cloche.canary_percent"] == "2"
    assert tags(two)["cloche.rollout"].startswith("paused: the tag cloche.canary_percent is 2")


@pytest.mark.parametrize(
    ("alias", "words"),
    [("canary", "the alias canary names version 1"), ("production", "production moved from ver")],
)
def test_an_alias_that_a_person_moves_ends_the_driver(server, walk, moments, alias, words):
    two = server.client
    two.create_model_version(MODEL, "file:///nowhere")

    def move(_):
        moments.each.clear()
        two.set_registered_model_alias(MODEL, alias, "1" if alias == "canary" else "3")

    moments.each.append(move)
    with pytest.raises(RegistryError, match=words):
        walk()
    assert tags(two)["cloche.rollout"].startswith("paused: ")


def test_production_moved_to_the_canary_by_hand_is_its_promotion(two, server, walk, moments):
    def move(_):
        moments.each.clear()
        two.set_registered_model_alias(MODEL, "production", "2")

    moments.each.append(move)
    assert walk().outcome == "promoted"
    assert find_model(two, MODEL).aliases == {"production": "2"}


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda c: c.set_model_version_tag(MODEL, "2", "cloche.gate", "refused"), "--gradually"),
        (
            lambda c: c.set_registered_model_alias(MODEL, "canary", "1"),
            "version 1 of .* the canary",
        ),
        (lambda c: c.delete_registered_model_alias(MODEL, "production"), "nothing in production"),
        (lambda c: c.set_registered_model_alias(MODEL, "production", "2"), "in production already"),
        (lambda c: c.delete_registered_model_alias(MODEL, "challenger"), "has no challenger"),
    ],
)
def test_what_may_not_be_rolled_out_is_told_with_the_reason(two, server, walk, prepare, words):
    prepare(two)
    before = tags(two)
    with pytest.raises(RegistryError, match=words):
        walk()
    assert tags(two) == before


def test_a_registry_that_is_away_is_asked_again(two, server, walk, shown):
    class Absent:
        """A client that does not answer three times."""

        def __init__(self):
            self.times = 3

        def __getattr__(self, name):
            def call(*arguments, **options):
                if name == "get_model_version" and shown.looks and self.times:
                    self.times -= 1
                    raise MlflowException("connection refused")
                return getattr(two, name)(*arguments, **options)

            return call

    assert walk(Absent()).outcome == "promoted"
    assert [said for said in shown.said if "goes on when" in said] == [
        "it goes on when the registry lets it: connection refused"
    ]
