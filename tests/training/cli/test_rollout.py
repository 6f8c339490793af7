"""`cloche rollout` as a person and as a script see it, with a server that counts meanwhile."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from cloche.training.cli.promote import promote
from cloche.training.cli.rollout import rollout
from cloche.training.errors import RegistryError, RolloutAborted
from cloche.training.promotion.registry import find_model
from tests.training.conftest import make_holdout
from tests.training.promotion.conftest import mark_promoted
from tests.training.rollout.conftest import MODEL, FakeServer, plan_file, two

__all__ = ["mark_promoted", "plan_file", "two"]  # fixtures

pytestmark = pytest.mark.slow


def run(*arguments):
    return CliRunner().invoke(rollout, arguments)


@contextmanager
def counting(client) -> Iterator[FakeServer]:
    """A server that counts while the command runs."""
    found = FakeServer(MlflowClient(client.tracking_uri, client.tracking_uri))
    ended = threading.Event()

    def work() -> None:
        now = 0.0
        while not ended.wait(0.05):
            found.count(now := now + 1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def server(two) -> Iterator[FakeServer]:
    """A server that counts while the command runs."""
    with counting(two) as found:
        yield found


@pytest.fixture
def at_once(plan_file):
    """The options of a rollout whose steps need no time, only requests."""
    return ("--plan", plan_file(at_least={"minutes": 0, "requests": 50}), "--poll", "0.1")


def test_a_rollout_tells_each_step_with_what_both_arms_did(two, server, at_once):
    done = run("--version", "2", *at_once, MODEL)  # options first, as click allows

    assert done.exit_code == 0, done.output
    assert "running, 10 % of the callers, step 1 of 2: canary 0 of " in done.stdout
    assert "flight-delay version 2 goes on: 50 % of the callers, step 2 of 2" in done.stdout
    assert "version 2 is in production: passed the gate and a rollout at 10, 50 %." in done.stdout
    assert "Evidence: run " in done.stdout
    again = run("start", MODEL, "--version", "2")
    assert "flight-delay version 2 is in production already" in str(again.exception)


def test_a_script_gets_a_line_for_each_look_and_one_for_the_end(two, server, at_once):
    done = run(MODEL, *at_once, "--json")

    *looks, end = map(json.loads, done.stdout.splitlines())
    assert {look["percent"] for look in looks} == {10, 50}
    assert looks[-1]["arms"].keys() == {"canary", "production"}
    assert (looks[-1]["decision"], looks[-1]["servers"]) == ("advance", 1)
    assert (end["outcome"], end["version"], end["mirror_problem"]) == ("promoted", "2", None)


def test_an_abort_is_raised_with_its_reason(two, server, at_once):
    server.fails = 0.3
    done = run(MODEL, *at_once)
    assert isinstance(done.exception, RolloutAborted)
    assert "version 2 was aborted: the canary failed" in str(done.exception)
    assert "version 2 was aborted" not in done.stdout  # the message of the error says it
    shown = run("status", MODEL, "--version", "2").stdout
    assert shown.startswith("flight-delay version 2: aborted: the canary failed")


def test_people_see_and_steer_a_rollout_without_a_driver(two, server, at_once):
    for key, value in {
        "canary_percent": "10", "rollout": "running: started by ana", "rollout_run_id": "",
        "rollout_step": '{"percent": 10, "since": "2026-11-01T00:00:00+00:00", "production": "1"}',
    }.items():  # fmt: skip
        two.set_model_version_tag(MODEL, "2", f"cloche.{key}", value)
    two.set_registered_model_alias(MODEL, "canary", "2")

    shown = run("status", MODEL).stdout
    assert shown.startswith("flight-delay version 2 running, 10 % of the callers, step")
    assert "No driver walks it" in shown
    assert json.loads(run("status", MODEL, "--json").stdout)["driven"] is False
    assert "is paused; its share stays" in run("pause", MODEL, "--reason", "lunch").stdout
    assert two.get_model_version(MODEL, "2").tags["cloche.rollout"].endswith(", lunch")
    assert "`cloche rollout flight-delay --version 2` runs" in run("resume", MODEL).stdout
    two.delete_model_version_tag(MODEL, "2", "cloche.rollout_step")
    assert "aborted; production answers everything" in run("abort", MODEL).stdout
    assert find_model(two, MODEL).aliases == {"production": "1", "challenger": "2"}
    refused = run("promote", MODEL)
    assert isinstance(refused.exception, RegistryError)
    assert "flight-delay has no rollout" in str(refused.exception)


@pytest.mark.usefixtures("forked_programs")
def test_a_gradual_promotion_is_the_gate_and_then_the_rollout(
    client, log_version, mark_promoted, tmp_path
):
    mark_promoted(log_version(challenger=False), "production")
    log_version()
    rows, policy = tmp_path / "rows.csv", tmp_path / "gate.yaml"
    make_holdout().to_csv(rows, index=False)
    policy.write_text(
        f"task: binary\ntarget: late\ndata: {{source: '{rows}'}}\n"
        "gate: {minimum: {roc_auc: 0.6}}\nrollout:\n  steps: [50]\n  slow: null\n"
        "  at_least: {minutes: 0, requests: 50}\n  failures: {margin: 0.05}\n"
    )
    with counting(client) as server:
        done = CliRunner().invoke(promote, [MODEL, "--gradually", "--policy", str(policy)])

    assert done.exit_code == 0, done.output
    assert "flight-delay version 2 against version 1 in production: passed" in done.stdout
    assert server.served == ["canary 50"]
    assert "version 2 is in production: passed the gate and a rollout at 50 %" in done.stdout
    tags = client.get_model_version(MODEL, "2").tags
    assert tags["cloche.gate"] == "passed"
    assert tags.keys() >= {"cloche.digest", "cloche.gate_run_id", "cloche.promoted_at"}
    assert find_model(client, MODEL).aliases == {"production": "2", "previous": "1"}
