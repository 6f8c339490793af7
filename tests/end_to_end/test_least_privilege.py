"""A model that looks around sees none of the server's secrets, whichever way it is run."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from cloche.serving.dispatch.replica import Replica
from cloche.serving.image.context import write
from cloche.serving.processes.launcher import Processes
from tests import spark
from tests.end_to_end import looking_model
from tests.online import COMMAND, children, running_program, serving, wait_for
from tests.shelf import empty_store
from tests.shell import environment, free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("least_privilege")]

KEY = "planted-key"
SECRETS = {
    "CLOCHE_API_KEYS": KEY, "CLOCHE_WEBHOOK_SECRET": "planted-webhook",
    "MLFLOW_TRACKING_PASSWORD": "planted-password", "MLFLOW_TRACKING_TOKEN": "planted-token",
    "AWS_SECRET_ACCESS_KEY": "planted-aws", "DATABRICKS_TOKEN": "planted-databricks",
    "MY_DB_PASSWORD": "planted-database",
}  # fmt: skip
WIDENED = ("--host-env", "MYAPP_*")
LITTLE = [f"mlflow-skinny=={mlflow.__version__}", f"pandas=={pd.__version__}"]
GATE = "task: binary\ntarget: t\nmetrics: [accuracy]\ndata: {source: rows.csv}\n"
PROGRAM = """
from pathlib import Path
from cloche.asgi import Cloche, Settings
cloche = Cloche(
    Settings(
        models=(f"m={Path('model').absolute()}",), cache_directory=Path("cache"),
        host_env=("MYAPP_*",),
    )
)
"""
cloudpickle.register_pickle_by_value(looking_model)


# Root reads every process's variables: a server that root starts gives that right up.
PLAIN = ("setpriv", "--bounding-set=-all") if os.geteuid() == 0 else ("env",)


class Room:
    """A folder with a model that looks around, and what its parents have in their environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ordinary = {
            "HOME": str(folder), "LANG": "C.UTF-8", "TZ": "Pacific/Auckland",
            "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache"), "MYAPP_MODE": "given",
        }  # fmt: skip
        self.store = store = f"sqlite:///{folder}/mlflow.db"
        lib = {"PYTHONPATH": str(folder / "lib"), "MLFLOW_TRACKING_URI": store}
        self.variables = self.ordinary | SECRETS | lib
        for name in ("seen", "lib", "cache"):
            (folder / name).mkdir()
        mlflow.pyfunc.save_model(
            folder / "model", python_model=looking_model.Looking(str(folder / "seen")),
            signature=ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("long")])),
            input_example=pd.DataFrame({"a": [0.0]}), pip_requirements=LITTLE,
        )  # fmt: skip
        rows = pd.DataFrame({"a": [0.5, 1.5] * 20, "t": [0, 1] * 20})
        rows.to_csv(folder / "rows.csv", index=False)
        (folder / "gate.yaml").write_text(GATE)
        shutil.copy(empty_store(), folder / "mlflow.db")
        client = MlflowClient(store, store)
        client.create_registered_model("m")
        client.create_model_version("m", source=str(folder / "model"))
        client.set_registered_model_alias("m", "production", "1")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777)  # for whoever the server runs as

    def environment(self, **more: str) -> dict[str, str]:
        return environment() | self.variables | more

    def run(self, *command: object, code: int = 0, **more: str) -> str:
        done = subprocess.run(
            [str(word) for word in command], cwd=self.folder, env=self.environment(**more),
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        told = done.stdout + done.stderr
        assert done.returncode == code, told
        return told

    @property
    def noted(self) -> bool:
        return any((self.folder / "seen").iterdir())

    def check(self, *reach: str) -> None:
        """Every process that ran the model had what it needs, and no secret was in its reach.

        Args:
            reach: Names of ancestors whose variables it may read; all where none is given.
        """
        assert self.noted
        for file in (self.folder / "seen").iterdir():
            seen = json.loads(file.read_text())
            near = [
                text
                for name, text in seen["ancestors"].items()
                if not reach or name.partition(" ")[2] in reach
            ]
            told = json.dumps([seen["environ"], seen["own"], near])
            assert "planted" not in told
            assert SECRETS.keys() & seen["environ"].keys() == set()
            assert seen["environ"].items() >= self.ordinary.items()
            assert str(self.folder / "lib") in seen["environ"]["PYTHONPATH"]
            assert seen["environ"]["PATH"]


@pytest.fixture
def room() -> Iterator[Room]:
    """Open to other users, as pytest's own folders are not."""
    with tempfile.TemporaryDirectory(prefix="cloche-room-") as folder:
        yield Room(Path(folder))


def test_a_served_model_sees_no_secret_and_nor_does_its_user(room: Room):
    program, *first = PLAIN
    command = (*first, str(COMMAND), "serve", "--port", "0")
    with serving(
        "models:/m@production", *WIDENED, directory=room.folder, environment=room.variables,
        program=Path(program), command=command,
    ) as server:  # fmt: skip
        server.key = KEY
        server.wait_until_ready()

        room.check()
        (registry,) = children(server.process.pid, "cloche-registry")
        for process in (server.process.pid, registry):
            shown = [*PLAIN, "cat", f"/proc/{process}/environ"]
            read = subprocess.run(shown, capture_output=True, check=False)
            assert (read.returncode, read.stdout) == (1, b"")


def test_a_host_that_is_started_anew_sees_no_secret(room: Room, monkeypatch):
    for name, value in room.variables.items():
        monkeypatch.setenv(name, value)
    version = {"path": str(room.folder / "model"), "twin": "", "model": "m", "version": "1",
               "twin_first": False, "low_priority": False, "stays_low": False,
               "as_stage": False}  # fmt: skip

    async def load() -> None:
        processes = Processes(1, ["MYAPP_*"], forking=False)
        replica = await Replica.start(processes)
        try:
            await replica.load(version, {}, 120)
        finally:
            await replica.stop()
            await processes.close()

    asyncio.run(load())

    room.check("none")


@pytest.mark.breadth
def test_a_host_in_an_environment_of_its_own_sees_no_secret(room: Room):
    with serving(
        "models:/m@production", *WIDENED, "--env-manager", "uv", directory=room.folder,
        environment=room.variables, program=COMMAND,
    ) as server:  # fmt: skip
        server.key = KEY
        wait_for(lambda: server.version() == "1", 400)

    room.check("none")


@pytest.mark.breadth
def test_a_mounted_model_sees_no_secret(room: Room):
    (room.folder / "program.py").write_text(PROGRAM)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "program:cloche", "--port", str(port)]
    url, where = f"http://127.0.0.1:{port}/readyz", {"cwd": room.folder, "env": room.environment()}
    with (
        (room.folder / "program.log").open("wb") as log,
        running_program(command, url, **where, stdout=log, stderr=log),
    ):
        pass  # it answers: the model was run

    room.check("cloche-forks")


def test_a_worker_of_a_batch_job_sees_no_secret(room: Room):
    room.run(COMMAND, "score", "m=model", "rows.csv", "out.csv", "--no-track", *WIDENED)

    room.check("none")


@pytest.mark.breadth
def test_a_worker_of_a_pipe_sees_no_secret(room: Room):
    score = f"{COMMAND} score m=model - - --input-format csv --output-format csv"
    room.run("sh", "-c", f"{score} < rows.csv", CLOCHE_SCORE_HOST_ENV="OTHER MYAPP_*")

    room.check("none")


@pytest.mark.breadth
def test_an_executor_of_spark_sees_no_secret(room: Room):
    spark.needed()
    engine = ("--engine", "spark", "--spark-master", "local[1]")
    room.run(COMMAND, "score", "m=model", "rows.csv", "out.csv", "--no-track", *engine, *WIDENED)

    room.check("none")


@pytest.mark.breadth
def test_a_model_that_is_judged_sees_no_secret(room: Room):
    judged = ("--version", "1", "--policy", "gate.yaml", "--dry-run")
    room.run(COMMAND, "promote", "m", *judged, *WIDENED)

    room.check("none")


@pytest.mark.breadth  # its process is made as that of a model that is judged
def test_a_model_that_is_accelerated_sees_no_secret(room: Room):
    signature = ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("long")]))
    estimator = looking_model.LookingEstimator(str(room.folder / "seen"))
    mlflow.sklearn.save_model(
        estimator, room.folder / "estimator", signature=signature, pip_requirements=LITTLE,
        serialization_format="cloudpickle",
    )  # fmt: skip
    MlflowClient(room.store, room.store).create_model_version("m", str(room.folder / "estimator"))
    accelerated = ("--version", "2", "--data", "rows.csv")

    said = room.run(COMMAND, "accelerate", "m", *accelerated, *WIDENED, code=1)

    assert "gets no accelerated twin" in said
    room.check("none")


@pytest.mark.breadth
def test_a_model_that_an_image_is_built_of_sees_no_secret(room: Room):
    write(str(room.folder / "model"), room.folder / "c", base="b", cache_directory=room.folder)
    trial = (sys.executable, "-Pm", "cloche.serving.image.load_check", room.folder / "c" / "model")
    room.run(*trial, CLOCHE_SERVE_HOST_ENV="MYAPP_*")

    room.check("none")


LACKING = {"MYAPP_MODE": "needy", "A_VARIABLE": "withheld"}
HINT = "in the environment of the server but not given to models: --host-env A_VARIABLE"


def test_an_operator_is_told_which_variable_a_model_lacks(room: Room):
    needy = room.variables | LACKING
    with serving(
        "models:/m@production", *WIDENED, directory=room.folder, environment=needy
    ) as server:  # fmt: skip
        server.key = KEY
        wait_for(lambda: HINT in (server.state()["problem"] or ""))
    job = ("score", "m=model", "rows.csv", "out.csv", "--no-track", *WIDENED)
    judged = ("promote", "m", "--version", "1", "--policy", "gate.yaml", "--dry-run", *WIDENED)

    assert HINT in room.run("cloche", *job, code=1, **LACKING)
    assert HINT in " ".join(room.run("cloche", *judged, code=3, **LACKING).split())


@pytest.mark.parametrize(
    "command",
    ["serve models:/m@production", "score m=model rows.csv out.csv", "promote m"],
)
def test_the_servers_own_keys_are_never_given(room: Room, command: str):
    refused = room.run("cloche", *command.split(), "--host-env", "CLOCHE_API_KEYS", code=2)

    assert "Give the model a variable of its own" in " ".join(refused.split())
