"""MLflow's deployments client and command, against a server that follows an alias."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.deployments import get_deploy_client
from mlflow.deployments.cli import commands
from mlflow.exceptions import MlflowException

from tests.lifecycle.registry import Registry
from tests.online import COMMAND, Server, serving, wait_for
from tests.shell import answers, environment, free_port
from tests.stores import stores

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deployments")]

# Version N predicts N: the second is right, and the first is not.
POLICY = """
task: regression
target: y
metrics: [mae]
data: {source: %s}
gate: {not_worse: {margin: 0.1}}
"""
ROW = pd.DataFrame({"a": [0.5]})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Two versions of `m`, in the registry that MLflow is set to."""
    registry = Registry(tmp_path_factory.mktemp("deployments"))
    registry.register("", "")
    with stores(registry.uri):
        yield registry


@pytest.fixture(scope="module")
def policy(registry: Registry) -> str:
    """The file with the criteria."""
    table, file = registry.directory / "table.csv", registry.directory / "gate.yaml"
    pd.DataFrame({"a": range(40), "y": 2.0}).to_csv(table, index=False)
    file.write_text(POLICY % table)
    return str(file)


@pytest.fixture(scope="module")
def server(registry: Registry) -> Iterator[Server]:
    variables = {"MLFLOW_TRACKING_URI": registry.uri}
    with serving("--all", directory=registry.directory, environment=variables) as running:
        yield running.wait_until_ready()


@pytest.mark.usefixtures("forked_programs")  # the next test creates by real ones
def test_a_deployment_from_creation_to_deletion(
    registry: Registry, server: Server, policy: str
) -> None:
    client = get_deploy_client(f"cloche:/{server.url}")
    with pytest.raises(MlflowException, match="-C policy=FILE"):
        client.create_deployment("m", "models:/m/2")
    made = client.create_deployment("m", "models:/m/2", config={"policy": policy})
    assert (made["version"], made["serving"], made["ready"]) == ("2", "2", True)
    assert client.predict("m", ROW).get_predictions()[0].tolist() == [2]
    assert client.list_deployments() == [client.get_deployment("m")] == [made]
    with pytest.raises(MlflowException, match="mlflow deployments update") as error:
        client.create_deployment("m", "models:/m/1")
    assert error.value.error_code == "RESOURCE_ALREADY_EXISTS"

    with pytest.raises(MlflowException, match="mae") as error:
        client.update_deployment("m", "models:/m/1", config={"policy": policy})
    assert error.value.error_code == "INVALID_STATE"
    assert client.get_deployment("m") == made
    forced = {"policy": policy, "force": True, "reason": "a test"}
    assert client.update_deployment("m", "models:/m/1", config=forced)["serving"] == "1"
    assert registry.client.get_model_version_by_alias("m", "previous").version == 2

    client.delete_deployment("m")
    assert client.list_deployments() == []
    client.delete_deployment("m")
    with pytest.raises(MlflowException, match="mlflow deployments create"):
        client.get_deployment("m")
    with pytest.raises(MlflowException, match="RESOURCE_DOES_NOT_EXIST"):
        client.predict("m", ROW)


@pytest.mark.breadth  # tests/serving/deployments types what else is advised
def test_mlflows_own_program_creates_a_deployment_that_its_commands_list_and_delete(
    registry: Registry, server: Server, policy: str
) -> None:
    target = ["-t", f"cloche:/{server.url}"]
    program = [COMMAND.with_name("mlflow"), "deployments", "create", *target]
    created = subprocess.run(
        [*program, "-m", "models:/m/2", "--name", "m", "-C", f"policy={policy}"],
        env=environment() | {"MLFLOW_TRACKING_URI": registry.uri}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "python_function deployment m is created" in created.stdout
    for words, said in (
        (["list"], "'name': 'm'"), (["delete", "--name", "m"], "is deleted"),
        (["list"], "List of all deployments:\n[]\n"), (["help"], "-C NAME=VALUE"),
    ):  # fmt: skip
        assert said in CliRunner().invoke(commands, [*words, *target]).output


def test_another_alias_moves_without_the_gate_and_without_a_server(registry: Registry) -> None:
    client = get_deploy_client("cloche:/http://127.0.0.1:9")
    config = {"alias": "staging", "wait": 0}
    with pytest.raises(MlflowException, match="models:/m/7"):
        client.create_deployment("m", "models:/m/7", config=config)
    assert client.create_deployment("m", "models:/m/latest", config=config)["name"] == "m"
    assert registry.client.get_model_version_by_alias("m", "staging").version == 2
    client.delete_deployment("m", config=config)
    assert "staging" not in registry.client.get_registered_model("m").aliases


@pytest.mark.breadth
def test_run_local_serves_in_the_foreground_until_it_is_ended(
    registry: Registry, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *("mlflow", "deployments", "run-local", "-t", "cloche"),
                *("--name", "m", "-m", "models:/m/2", "-C", f"port={port}"),
            ],
            env=environment() | {"MLFLOW_TRACKING_URI": registry.uri, "XDG_CACHE_HOME": tmp_path},
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_for(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/readyz"))
        client = get_deploy_client(f"cloche:/http://127.0.0.1:{port}")
        assert client.predict("m", ROW)["predictions"] == [2], log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
    assert not answers(f"http://127.0.0.1:{port}/livez")
