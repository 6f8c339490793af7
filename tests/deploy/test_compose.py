"""The stack of services: valid, pinned, without rights that it does not need, and named as it is.

There is no engine to start it: this is what can be known without one.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cloche.main import cloche
from tests.deploy.conftest import DEPLOY

COMPOSE = DEPLOY / "compose" / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
ONCE = {"bucket"}  # it ends when it did its work


def variables(text: str) -> set[str]:
    """The variables that a file for Compose asks for."""
    return set(re.findall(r"\$\{(\w+)", text)) | {"CLOCHE_API_KEY"}


def test_compose_takes_it():
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    subprocess.run([*checker, "vendor.compose-spec", COMPOSE], check=True)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_bound_and_without_rights(name: str):
    service = SERVICES[name]
    image = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"])

    assert re.search(r":v?\d+\.\d+[\w.-]*$", image), image
    assert "privileged" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    if name not in {"postgres", "s3"}:  # they give their volumes to a user of theirs
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_who_waits_for_a_service_waits_for_what_it_can_tell(name: str):
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONCE else "service_healthy"
        if (name, other) == ("prometheus", "cloche"):
            expected = "service_started"
        assert wait["condition"] == expected
        if expected == "service_healthy" and other != "cloche":  # its image has one
            assert SERVICES[other]["healthcheck"]["test"][0] == "CMD"


def test_every_variable_is_in_the_example_and_no_secret_has_a_value():
    text = COMPOSE.read_text()
    example = (COMPOSE.parent / ".env.example").read_text()
    named = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", example, flags=re.MULTILINE))

    assert set(named) == variables(text)
    for name in re.findall(r"\$\{(\w+):\?", text):
        assert named[name] == "", name


def test_every_file_that_is_mounted_is_there():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if volume.startswith("."):
                assert (COMPOSE.parent / volume.split(":")[0]).is_dir(), volume


def test_the_server_is_asked_what_it_can_do():
    command = SERVICES["cloche"]["command"]
    told = CliRunner().invoke(cloche, ["serve", *command, "--help"])
    assert told.exit_code == 0, told.output
    assert SERVICES["cloche"]["entrypoint"] == ["cloche", "serve"]


def test_mlflow_is_asked_what_it_can_do():
    from mlflow.cli import server

    program, command, *options = SERVICES["mlflow"]["command"]
    known = {name for parameter in server.params for name in parameter.opts}

    assert (program, command) == ("mlflow", "server")
    assert {option.split("=")[0] for option in options} <= known


@pytest.fixture
def promtool() -> str:
    """Prometheus' own checker."""
    found = shutil.which("promtool")
    if found is None:
        how = "apt-get install --yes --no-install-recommends prometheus"
        if "CI" not in os.environ:
            pytest.skip(f"run after: {how}")
        pytest.fail(how)
    return found


def test_prometheus_takes_its_configuration(promtool: str, tmp_path: Path):
    key = tmp_path / "key"
    key.touch()
    shutil.copytree(COMPOSE.parent / "prometheus", tmp_path / "prometheus")
    config = tmp_path / "prometheus" / "prometheus.yml"
    config.write_text(config.read_text().replace("/run/secrets/cloche_api_key", str(key)))

    done = subprocess.run(
        [promtool, "check", "config", config], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


def test_every_alert_is_raised_by_what_it_is_for(promtool: str, tmp_path: Path):
    tests = Path(__file__).parent / "alerts.yaml"
    rules = COMPOSE.parent / "prometheus" / "alerts.yml"
    for file in (tests, rules):
        shutil.copy(file, tmp_path)
    names = re.findall(r"- alert: (\w+)", rules.read_text())

    done = subprocess.run(
        [promtool, "test", "rules", tests.name],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert names
    assert all(f"alertname: {name}\n" in tests.read_text() for name in names)
    assert done.returncode == 0, done.stdout + done.stderr
