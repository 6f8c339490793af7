"""The workflows: valid, and their steps run as a runner runs them."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import DEPLOY
from tests.shell import environment

WORKFLOWS = [DEPLOY / "github" / name for name in ("train.yml", "rollout.yml")]


def step(name: str) -> dict[str, Any]:
    """The step of that id."""
    found: dict[str, Any] = next(
        one
        for workflow in WORKFLOWS
        for job in yaml.safe_load(workflow.read_text())["jobs"].values()
        for one in job["steps"]
        if one.get("id") == name
    )
    return found


@dataclass
class Ended:
    """How a step ended."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str


Runner = Callable[..., Ended]


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Run a step; `PATH` may bring another `cloche`."""

    def run(name: str, **variables: str) -> Ended:
        outputs, summary = tmp_path / f"{name}.outputs", tmp_path / f"{name}.summary"
        for file in (outputs, summary):
            file.write_text("")
        answer = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)["run"]],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env=environment()
            | {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
            | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
            | variables,
        )  # fmt: skip
        written = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        return Ended(answer.returncode, answer.stdout + answer.stderr, written, summary.read_text())

    return run


@pytest.fixture
def ends(tmp_path: Path) -> Callable[[int], str]:
    """A PATH with a `cloche` that ends with a code."""

    def path(code: int) -> str:
        command = tmp_path / "bin" / "cloche"
        command.parent.mkdir()
        command.write_text(f"#!/bin/sh\necho what it says\nexit {code}\n")
        command.chmod(0o755)
        return f"{command.parent}:{environment()['PATH']}"

    return path


def test_github_takes_the_workflows():
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    subprocess.run([*checker, "vendor.github-workflows", *WORKFLOWS], check=True)


@pytest.mark.slow
@pytest.mark.breadth
def test_it_trains_and_promotes(runner: Runner):
    trained = runner("train", RECIPE="breast-cancer")
    assert trained.outputs == {"model": "breast-cancer"}, trained.log

    promoted = runner("gate", MODEL=trained.outputs["model"])

    assert promoted.code == 0, promoted.log
    assert promoted.outputs == {"decision": "promoted"}
    assert "breast-cancer version 1 is in production" in promoted.summary


def test_a_refusal_is_no_failure_and_is_seen(runner: Runner, ends: Callable[[int], str]):
    refused = runner("gate", MODEL="churn", PATH=ends(3))

    assert refused.code == 0
    assert refused.outputs == {"decision": "refused"}
    assert "::warning title=Gate::churn was refused" in refused.log
    assert "churn: refused" in refused.summary
    assert "what it says" in refused.summary


def test_a_failure_of_the_gate_is_a_failure(runner: Runner, ends: Callable[[int], str]):
    failed = runner("gate", MODEL="churn", PATH=ends(1))
    assert (failed.code, failed.outputs) == (1, {})
    assert "what it says" in failed.log


def test_nothing_is_trained_into_a_store_that_is_lost(runner: Runner):
    failed = runner("train", RECIPE="breast-cancer", MLFLOW_TRACKING_URI="")
    assert failed.code != 0
    assert "Set the secret MLFLOW_TRACKING_URI" in failed.log


@pytest.mark.parametrize(
    ("code", "decision", "words"),
    [
        (0, "promoted", ""),
        (3, "refused", "::warning title=Rollout::churn was not promoted"),
        (130, "unfinished", "::warning title=Rollout::churn keeps its share; run this workflow"),
    ],
)
def test_a_rollout_says_how_it_ended_and_goes_on_in_the_next_run(
    runner: Runner, ends: Callable[[int], str], code: int, decision: str, words: str
):
    ended = runner("rollout", MODEL="churn", PATH=ends(code))
    assert (ended.code, ended.outputs) == (0, {"decision": decision})
    assert words in ended.log
    assert "what it says" in ended.summary


def test_a_rollout_that_cannot_begin_is_a_failure(runner: Runner, ends: Callable[[int], str]):
    assert runner("rollout", MODEL="churn", PATH=ends(1)).code == 1
