"""Cloche on an MLflow server with accounts, PostgreSQL and S3, which nothing but variables name."""

import json
import subprocess

import pytest
import requests

from tests.online import Load, Server, serving, wait_for
from tests.shell import environment
from tests.team.conftest import MODEL, PASSWORDS

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("team")]

URI = f"models:/{MODEL}@production"


@pytest.fixture(scope="module")
def servers(team, tmp_path_factory):
    """Two servers on different ports that follow the same alias."""
    variables = team.as_user("reader")
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    with (
        serving(URI, directory=first, environment=variables) as one,
        serving(URI, directory=second, environment=variables) as two,
    ):
        yield one.wait_until_ready(), two.wait_until_ready()


def asking(team, server: Server) -> Load:
    """Clients that leave the machine some room: its models are judged meanwhile."""
    return Load(server, clients=2, pause=0.05, body={"dataframe_split": team.rows})


def moves(shell, team, command: str) -> None:
    """Move the alias as alice, from another process than the servers'."""
    shell(f"cloche {command}", **team.as_user("alice"))


def test_a_table_is_scored_and_the_job_is_a_run_of_the_server(team, shell):
    shell(f"cloche score {URI} rows.csv scores.csv --json", **team.as_user("alice"))
    found = json.loads(shell("cloche status --json", **team.as_user("reader")).stdout)

    (model,) = found["models"]
    assert model["aliases"]["production"] == "1"
    assert batch_runs(team) == ["FINISHED"]


def batch_runs(team) -> list[str]:
    """How the jobs ended, by the tracking server."""
    api, alice = f"{team.tracking.url}/api/2.0/mlflow", ("alice", PASSWORDS["alice"])
    name = {"experiment_name": f"{MODEL}-batch"}
    found = requests.get(f"{api}/experiments/get-by-name", name, auth=alice, timeout=30).json()
    ids = {"experiment_ids": [found["experiment"]["experiment_id"]]}
    runs = requests.post(f"{api}/runs/search", json=ids, auth=alice, timeout=30).json()["runs"]
    return [run["info"]["status"] for run in runs]


def test_an_alias_that_moves_and_moves_back_reaches_two_servers_and_no_request_fails(
    team, shell, servers
):
    with asking(team, servers[0]) as one, asking(team, servers[1]) as two:
        for command, version in (
            (f"rollback {MODEL} --to 2 --force", "2"),
            (f"rollback {MODEL}", "1"),
        ):
            moves(shell, team, command)
            for server in servers:
                server.wait_for_version(version, MODEL)
            for load in (one, two):
                load.wait_for_more(10)

    assert one.failures + two.failures == []
    assert set(one.outcomes) == set(two.outcomes) == {"1", "2"}


def test_without_the_tracking_server_what_serves_goes_on_and_a_job_waits_for_it(
    team, shell, servers, folder
):
    with asking(team, servers[0]) as load:
        team.tracking.stop()
        wait_for(lambda: "does not answer" in (problem(servers[0]) or ""))
        job = subprocess.Popen(
            ["cloche", "score", URI, "rows.csv", "late.csv", "--no-track"], cwd=folder,
            env=environment() | team.as_user("alice") | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7"},
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert job.stderr is not None
        for line in job.stderr:
            if "asking again" in line:
                break
        load.wait_for_more(10)
        team.tracking.start()
        moves(shell, team, f"rollback {MODEL} --to 2")
        for server in servers:
            server.wait_for_version("2", MODEL)
        assert job.wait(120) == 0, job.stderr.read()

    job.stderr.close()
    assert load.failures == []
    assert (folder / "late.csv").exists()


def problem(server: Server) -> str | None:
    found: str | None = server.state(MODEL)["problem"]
    return found


@pytest.mark.parametrize(
    "command", [f"promote {MODEL} --version 1", f"score {URI} rows.csv no.csv", f"train {MODEL}"]
)
def test_a_wrong_password_is_told_by_its_variable(team, shell, command):
    refused = shell(f"cloche {command}", code=1, **team.as_user("alice", "not hers"))
    assert "refuses 'alice' with this password" in refused.stderr
    assert "MLFLOW_TRACKING_PASSWORD" in refused.stderr
    assert "not hers" not in refused.stderr


def test_a_server_with_a_wrong_password_says_so_in_its_readiness(team, tmp_path):
    wrong = team.as_user("reader", "not theirs") | {"XDG_CACHE_HOME": str(tmp_path)}
    with serving(URI, directory=tmp_path, environment=wrong) as server:
        wait_for(lambda: "MLFLOW_TRACKING_PASSWORD" in (problem(server) or ""))

        assert server.get("/readyz").status_code == 503


def test_the_doctor_finds_the_deployment_well_and_a_password_wrong(team, shell):
    options = f"{URI} --port 0"
    well = shell(f"cloche doctor {options}", **team.as_user("reader"))
    wrong = shell(f"cloche doctor {options}", code=1, **team.as_user("reader", "not theirs"))

    assert "fail" not in well.stdout
    assert "warn" not in well.stdout
    assert "MLFLOW_TRACKING_PASSWORD" in wrong.stdout
