"""Versions in environments that are built from what they were logged with."""

import json
import re
import shutil
import subprocess
import warnings
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from cloche.serving.registry.names import BEFORE_TAG
from tests.lifecycle.make_models import LITTLE
from tests.lifecycle.registry import Registry, Serve
from tests.online import COMMAND, wait_for
from tests.shell import environment

pytestmark = pytest.mark.slow

MODEL = Path(__file__).parent / "looking_model.py"
PANDAS_MODEL = Path(__file__).parent / "pandas_model.py"
REAL = ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("double")]))
POLICY = """
task: regression
target: y
metrics: [mae]
data: {source: rows.csv}
gate: {minimum: {mae: 0.5}}
"""
LOADING = "is being loaded"


@pytest.mark.breadth  # what is built of, test_env_manager.py proves without building
@pytest.mark.parametrize(("manager", "workers"), [("uv", 2), ("virtualenv", 1)])
def test_a_version_is_served_scored_and_judged_in_one_environment_of_its_own(
    registry: Registry, serve: Serve, manager: str, workers: int
) -> None:
    registry.register("")
    path = registry.artifacts("1")
    shutil.rmtree(path)
    with warnings.catch_warnings(action="ignore"):  # hints about a signature that is given
        mlflow.pyfunc.save_model(
            path, python_model=str(MODEL), signature=REAL,
            input_example=pd.DataFrame({"a": [0.0]}), pip_requirements=[*LITTLE, "packaging==24.2"],
        )  # fmt: skip
    registry.promote("1")
    pd.DataFrame({"a": range(40), "y": 24.0}).to_csv(registry.directory / "rows.csv", index=False)
    (registry.directory / "gate.yaml").write_text(POLICY)
    own = f"--env-manager {manager}"

    server = serve("--workers", str(workers), *own.split(), program=COMMAND)
    wait_for(lambda: server.version() or LOADING not in (server.state()["problem"] or LOADING), 400)
    assert server.predict().json() == {"predictions": [24.0]}, server.state()
    hosts = server.hosts()
    assert len(hosts) == workers
    for host in hosts:
        interpreter = (Path("/proc") / str(host) / "cmdline").read_text().split("\0")[0]
        assert Path(interpreter).is_relative_to(registry.directory / "cache")
    server.end()
    if manager == "virtualenv":
        return  # what is scored and judged there does not hang on who built it

    score = "score models:/m@production rows.csv {} --workers 1 --no-track"
    promote = "promote m --version 1 --policy gate.yaml --dry-run --json"
    advised = ""
    for option, major in (("", float(version("packaging").partition(".")[0])), (own, 24.0)):
        name = f"out-{major:g}.csv"
        told = run_command(registry, f"{score.format(name)} {option}").stderr
        assert set(pd.read_csv(registry.directory / name)["prediction"]) == {major}
        judged = run_command(registry, f"{promote} {option}", 0 if option else 3)
        evidence = json.loads(judged.stdout)["evidence"]
        assert option == advised
        advised = "".join(re.findall(r"; (--env-manager uv) measures", "".join(evidence["notes"])))
        assert evidence["scores"]["mae"] == abs(major - 24)
        differs = f"packaging==24.2 (installed: {version('packaging')})"
        for said in (told, "".join(evidence["notes"])):
            assert (differs in said) == (not option), said
    built = registry.directory / "cache" / "cloche" / "environments"
    assert len([one for one in built.iterdir() if one.is_dir()]) == 1


@pytest.mark.breadth
def test_a_pair_of_two_environments_is_served_scored_and_judged_with_the_same_answers(
    registry: Registry, serve: Serve
) -> None:
    """The stage needs pandas 2 and the model pandas 3, so that no environment has both."""
    inner = Schema([ColSpec("double", "b")])
    for name, taken, given, pandas in (
        ("s", REAL.inputs, inner, "pandas<3"), ("m", inner, REAL.outputs, "pandas>=3,<4")
    ):  # fmt: skip
        registry.register(model=name)
        path = registry.artifacts("1", name)
        with warnings.catch_warnings(action="ignore"):  # hints about a signature that is given
            mlflow.pyfunc.save_model(
                path, python_model=str(PANDAS_MODEL), model_config={"stage": name == "s"},
                signature=ModelSignature(taken, given), pip_requirements=[LITTLE[0], pandas],
            )  # fmt: skip
        registry.client.create_model_version(name, source=str(path))
        registry.promote("1", name)
    registry.client.set_model_version_tag("m", "1", BEFORE_TAG, "models:/s@production")
    pd.DataFrame({"a": np.arange(40.0), "y": 23.0}).to_csv(
        registry.directory / "rows.csv", index=False
    )
    (registry.directory / "gate.yaml").write_text(POLICY)
    own = "--env-manager uv"

    server = serve(*own.split(), program=COMMAND)
    wait_for(lambda: server.version() or LOADING not in (server.state()["problem"] or LOADING), 400)
    assert server.predict().json() == {"predictions": [23.0]}, server.state()
    server.end()
    told = run_command(
        registry, f"score models:/m@production rows.csv out.csv --workers 1 --no-track {own}"
    )
    assert set(pd.read_csv(registry.directory / "out.csv")["prediction"]) == {23.0}, told.stderr
    judged = run_command(
        registry, f"promote m --version 1 --policy gate.yaml --dry-run --json {own}"
    )
    assert json.loads(judged.stdout)["evidence"]["scores"]["mae"] == 0
    built = registry.directory / "cache" / "cloche" / "environments"
    assert len([one for one in built.iterdir() if one.is_dir()]) == 2


def run_command(registry: Registry, line: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command with the registry, and with the cache of its server."""
    done = subprocess.run(
        ["cloche", *line.split()], check=False, capture_output=True, text=True,
        cwd=registry.directory, env=environment() | {
            "MLFLOW_TRACKING_URI": registry.uri,
            "XDG_CACHE_HOME": str(registry.directory / "cache"),
        },
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_an_environment_that_cannot_be_built_is_told(registry: Registry, serve: Serve) -> None:
    registry.register("")
    needed = "dependencies: [a-package-that-nobody-has==1.2.3]\n"
    (registry.artifacts("1") / "python_env.yaml").write_text(needed)
    registry.promote("1")
    server = serve("--env-manager", "uv")
    wait_for(lambda: "a-package-that-nobody-has" in (server.state()["problem"] or ""))
    assert server.predict().status_code == 503
