"""The DAGs, run by Airflow in an environment of its own, with SQLite in a temporary folder."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import requests

from tests import apart, warm
from tests.deploy.conftest import ABSENT, BAD, DEPLOY, GOOD
from tests.deploy.test_daily import yesterday
from tests.online import wait_for
from tests.shell import environment, free_port

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("deploy")]


@pytest.fixture(scope="module")
def programs() -> Path:
    """The programs of an environment with Airflow."""
    return apart.programs("airflow")


@pytest.fixture(scope="module")
def home(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AIRFLOW_HOME with its database."""
    folder = tmp_path_factory.mktemp("airflow")
    subprocess.run(
        [programs / "airflow", "db", "migrate"], check=True, capture_output=True,
        env=environment() | {"AIRFLOW_HOME": str(folder)},
    )  # fmt: skip
    return folder


@pytest.fixture
def settings(programs: Path, home: Path, job: dict[str, str]) -> dict[str, str]:
    """Airflow's own environment, and the variables that the DAGs ask for."""
    variables = {
        "score_day": f"{job['FOLDER']}/score-day",
        "cloche": str(warm.programs() / "cloche"),
        "flights_folder": job["FOLDER"],
    }
    # without the PATH of the job: the DAGs find everything by these variables
    return (
        {name: value for name, value in job.items() if name != "FOLDER"}
        | {
            "PATH": f"{programs}:/usr/bin:/bin",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DEPLOY / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        }
        | {f"AIRFLOW_VAR_{name.upper()}": value for name, value in variables.items()}
    )


Airflow = Callable[..., str]


@pytest.fixture
def airflow(settings: dict[str, str]) -> Airflow:
    """Run a command of Airflow; it must exit with `code`. Gives what it printed."""

    def call(*arguments: str, code: int = 0, **variables: str) -> str:
        answer = subprocess.run(
            ["airflow", *arguments], env=settings | variables, cwd="/",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert answer.returncode == code, answer.stdout + answer.stderr
        return answer.stdout + answer.stderr

    return call


def on(day: str) -> tuple[str, str]:
    """The option of `airflow dags test` for the flights of a day."""
    return "--conf", json.dumps({"date": day})


def test_yesterday_is_scored_and_rows_in_quarantine_are_a_warning_or_a_failure_as_it_is_set(
    airflow: Airflow, flights: Path
):
    day = flights / "flights" / f"{yesterday()}.csv"
    (flights / "flights" / f"{BAD}.csv").rename(day)

    told = airflow("dags", "test", "score_flights")

    scored = flights / "scores" / f"date={yesterday()}"
    assert "3 rows of" in told
    assert (scored / "_SUCCESS").exists()
    assert len(pd.read_parquet(scored)) == len(pd.read_csv(day)) - 3

    again = ("dags", "test", "score_flights", *on(yesterday()))
    airflow(*again, code=1, AIRFLOW_VAR_QUARANTINE="fail")


def test_a_day_that_is_not_there_fails_and_says_so(airflow: Airflow, flights: Path):
    told = airflow("dags", "test", "score_flights", *on(ABSENT), code=1)
    assert f"flights/{ABSENT}.csv: nothing is there" in told
    assert not (flights / "scores").exists()


@pytest.mark.parametrize(("code", "state"), [(0, "success"), (3, "skipped")])
def test_a_rollout_that_is_aborted_is_skipped_and_not_tried_again(
    airflow: Airflow, tmp_path: Path, code: int, state: str
):
    command = tmp_path / "cloche"
    command.write_text(f'#!/bin/sh\necho "said: $@ at $MLFLOW_TRACKING_URI"\nexit {code}\n')
    command.chmod(0o755)
    told = airflow(
        *("dags", "test", "roll_out", "--conf", json.dumps({"model": "churn"})),
        AIRFLOW_VAR_CLOCHE=str(command), AIRFLOW_VAR_MLFLOW_TRACKING_URI="sqlite:///elsewhere.db",
    )  # fmt: skip
    assert "said: promote churn --gradually at sqlite:///elsewhere.db" in told
    assert state in told.lower()


@pytest.fixture
def start(settings: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Start what runs tasks: the API server, and when that answers, the scheduler.

    A task that finds no API server within a few attempts has failed.
    """
    running: list[subprocess.Popen[str]] = []
    port = free_port()
    services = settings | {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "2",
    }
    output = tmp_path / "airflow.log"

    def service(name: str) -> None:
        with output.open("a") as log:
            process = subprocess.Popen(
                ["airflow", name], env=services, cwd="/", stdout=log, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip
            running.append(process)

    def answers() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{port}/api/v2/version", timeout=30).ok
        return False

    def both() -> None:
        service("api-server")
        wait_for(answers)
        service("scheduler")

    yield both
    for process in reversed(running):
        process.send_signal(signal.SIGINT)
        # a busy machine may keep it from ending in time, which is no failure of what is tested
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    sys.stderr.write(output.read_text())  # pytest shows it where the test failed


def test_a_day_that_arrives_is_scored_because_of_its_asset_and_without_a_logical_date(
    airflow: Airflow, flights: Path, start: Callable[[], None]
):
    airflow("dags", "reserialize")
    airflow(
        *("backfill", "create", "--dag-id", "flights_arrive"),
        *("--from-date", GOOD, "--to-date", GOOD),
    )
    start()
    wait_for((flights / "scores" / f"date={GOOD}" / "_SUCCESS").exists, seconds=240)
    assert len(pd.read_parquet(flights / "scores" / f"date={GOOD}")) == 936

    told = airflow("dags", "list-runs", "score_flights", "--output", "json")
    runs = json.loads(told[told.index("[{") :])
    dates = [run["logical_date"] for run in runs if run["run_id"].startswith("asset_triggered")]
    assert dates == [""]  # so Airflow prints None
