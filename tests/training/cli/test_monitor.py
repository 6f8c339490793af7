"""`cloche monitor` as people and jobs call it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from cloche.main import result_code
from cloche.training.cli.monitor import monitor
from tests.online import serving, wait_for
from tests.training.conftest import LogVersion, make_holdout
from tests.training.monitor.test_monitor import write_log

DAYS = ("--since", "2026-03-01", "--until", "2026-03-10", "--as-of", "2026-03-14")


@pytest.fixture
def log(log_version: LogVersion, tmp_path: Path) -> Path:
    log_version(holdout=make_holdout(30_000))
    return tmp_path / "log"


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server, and the bodies that it was sent."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", bodies
    server.shutdown()
    server.server_close()


def call(*arguments: str) -> tuple[int, str, str]:
    """Return the exit code, standard output and standard error."""
    done = CliRunner().invoke(monitor, ["flight-delay", *arguments], standalone_mode=False)
    assert done.exception is None, done.exception
    return result_code(done.return_value), done.stdout, done.stderr


def test_a_quiet_model_has_exit_code_0_a_run_and_a_tag(log: Path, client: MlflowClient):
    write_log(log)

    code, output, _ = call("--log", str(log), *DAYS)

    assert code == 0
    assert "Nothing is beyond its limit." in output
    tag = json.loads(client.get_registered_model("flight-delay").tags["cloche.monitor"])
    run = client.get_run(tag["run_id"])
    assert (tag["alarms"], tag["last_day"]) == (0, "2026-03-10")
    assert (run.data.tags["cloche.kind"], run.data.tags["cloche.decision"]) == ("monitor", "quiet")
    days = client.get_metric_history(tag["run_id"], "v1/roc_auc")
    assert [one.step for one in days] == list(range(20_513, 20_523))
    files = {one.path for one in client.list_artifacts(tag["run_id"])}
    assert {"monitor.json", "report.html", "plots"} <= files


def test_an_alarm_has_exit_code_5_and_is_told_everywhere(
    log: Path, client: MlflowClient, tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]]
):
    write_log(log, shuffled=True)
    page, metrics = tmp_path / "page.html", tmp_path / "cloche.prom"

    code, output, errors = call(
        "--log", str(log), *DAYS, "--json", "--report", str(page), "--webhook", webhook[0],
        "--metrics-file", str(metrics),
    )  # fmt: skip

    alarms = [alarm for alarm in json.loads(output)["alarms"] if alarm["open"]]
    assert code == 5
    assert "Note" not in errors
    assert [body["alarms"] for body in webhook[1]] == [alarms]
    assert "roc_auc" in webhook[1][0]["text"]
    assert alarms[0]["first_day"] in page.read_text()
    assert f'cloche_monitor_alarms{{model="flight-delay"}} {len(alarms)}' in metrics.read_text()


@pytest.mark.slow
def test_a_server_shows_the_days_and_the_alarms(log: Path, client: MlflowClient, tmp_path: Path):
    write_log(log, shuffled=True)
    call("--log", str(log), *DAYS)
    client.set_registered_model_alias("flight-delay", "production", "1")
    run_id = json.loads(client.get_registered_model("flight-delay").tags["cloche.monitor"])[
        "run_id"
    ]

    environment = {"MLFLOW_TRACKING_URI": client.tracking_uri}
    with serving(
        "models:/flight-delay@production", directory=tmp_path, environment=environment
    ) as server:
        server.wait_until_ready()
        found = wait_for(lambda: server.get("/status.json").json()["model"]["monitor"])
        alarms = server.metric("cloche_monitor_alarms", model="flight-delay")

    (version,) = found["versions"]
    days = client.get_metric_history(run_id, "v1/roc_auc")
    assert (version["version"], version["metric"]) == ("1", "roc_auc")
    assert [day["value"] for day in version["days"]] == [day.value for day in days]
    assert version["days"][0]["day"] == "2026-03-01"
    assert version["usual"]["low"] < version["days"][0]["value"] < version["usual"]["high"]
    assert {day["labelled"] for day in version["days"]} == {1.0}
    assert [day["alarm"] for day in version["days"]][:5] == [False] * 5
    assert found["alarm"]["first_day"] in {day["day"] for day in version["days"] if day["alarm"]}
    assert alarms == found["alarms"] > 0


def test_a_webhook_that_does_not_answer_is_a_note(log: Path, client: MlflowClient):
    write_log(log, shuffled=True)

    code, _, errors = call("--log", str(log), *DAYS, "--webhook", "http://127.0.0.1:9/hook")

    assert code == 5
    assert "the webhook did not take the alarm" in errors


def test_days_that_end_before_they_begin_are_a_mistake():
    done = CliRunner().invoke(
        monitor, ["flight-delay", "--since", "2026-03-02", "--until", "2026-03-01"]
    )

    assert done.exit_code == 2
    assert "--since 2026-03-02 is after the last day, 2026-03-01" in done.output
