"""The image, built and run: it trains, promotes, follows the registry, and serves what is baked in.

Docker is not needed: `engine.py` builds with Buildah and runs what the image says. Its base is made
from the same release of Debian, with the same minor version of Python, as the one it stands for.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from mlflow import MlflowClient

from tests.deploy.conftest import DEPLOY
from tests.deploy.engine import Container, Engine, Image
from tests.online import tracking_server
from tests.shelf import copy_empty_store
from tests.shell import environment, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.breadth,
    pytest.mark.xdist_group("container"),
    pytest.mark.timeout(1500),  # an image is built, beside three other workers
]

MODEL = "breast-cancer"
NEEDED = ("buildah", "debootstrap", "unshare", "setpriv")
DOCKERFILE = DEPLOY / "container" / "Dockerfile"
LARGEST_MIB = 1300  # it had 1,117 when this was written
COMPILERS = ("cc", "gcc", "g++", "c++", "cpp", "clang", "ld", "as", "make", "rustc")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Buildah, with the base of the Dockerfile."""
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    how = "apt-get install --yes --no-install-recommends buildah debootstrap"
    if (missing or os.geteuid() != 0) and "CI" not in os.environ:
        pytest.skip(f"run as root after: {how}")
    assert not missing, how
    engine = Engine(tmp_path_factory.mktemp("engine"))
    engine.open()
    try:
        engine.make_base()
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def image(engine: Engine) -> Image:
    """The image of this checkout."""
    engine.build(DOCKERFILE, "cloche:tested")
    return engine.image("cloche:tested")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server on loopback, which passes artifacts on."""
    folder = tmp_path_factory.mktemp("registry")
    copy_empty_store(folder / "mlflow.db")
    store, artifacts = f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts")
    with tracking_server(store, folder, "--artifacts-destination", artifacts) as url:
        yield url


@pytest.fixture(scope="module")
def promoted(image: Image, registry: str) -> str:
    """The registry, with a version that was trained and promoted in a container."""
    for command in (["train", MODEL], ["promote", MODEL]):
        done = image.run(
            *command, entry_point=["cloche"], variables={"MLFLOW_TRACKING_URI": registry}
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return registry


@pytest.fixture(scope="module")
def follower(
    image: Image, promoted: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    """A container that follows the alias of that registry."""
    variables = {
        "MLFLOW_TRACKING_URI": promoted,
        "CLOCHE_SERVE_PORT": "PORT",
        "CLOCHE_SERVE_POLL_INTERVAL": "0.2",
    }
    place = tmp_path_factory.mktemp("follower")
    uri = f"models:/{MODEL}@production"
    with image.serving("serve", uri, directory=place, variables=variables) as container:
        yield container.wait_until_ready()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A request with two rows."""
    folder = tmp_path_factory.mktemp("rows")
    sample = ["cloche", "sample", "breast_cancer", "--without-target", "rows.csv"]
    subprocess.run(sample, cwd=folder, env=environment(), check=True, capture_output=True)
    table = pd.read_csv(folder / "rows.csv").head(2)
    return {"dataframe_split": table.to_dict("split", index=False)}


def ask(container: Container, rows: dict[str, Any], path: str = "/invocations"):
    answer = requests.post(container.url + path, json=rows, timeout=60)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == 2
    return answer


# ── The image ─────────────────────────────────────────────────────────────────────────────────────


def test_there_is_no_compiler_and_no_pip_in_it(image: Image):
    programs = {path.name for path in image.root.rglob("bin/*")}
    packages = image.root.glob("opt/cloche/lib/python3*/site-packages/pip*")

    assert {"cloche", "mlflow"} <= programs
    assert not programs & set(COMPILERS)
    assert not list(packages)


def test_nothing_of_the_build_is_left_in_it(image: Image):
    left = [
        path
        for place in ("root/.cache", "src", "opt/build", "etc/pip.conf", "etc/pip.ca.pem")
        if (path := image.root / place).exists()
    ]

    assert left == []
    assert list((image.root / "var" / "cache" / "cloche").iterdir()) == []
    assert not [line for line in image.config["Env"] if line.startswith("PIP_")]


def test_the_entry_point_needs_no_shell(image: Image):
    assert image.config["Entrypoint"] == ["cloche", "container"]
    assert image.config["Cmd"] == ["serve"]


def test_nothing_is_compiled_when_it_starts(image: Image):
    """Where nothing can be written, Python would compile every module at every start."""
    sources = list(image.root.glob("opt/cloche/lib/python3*/site-packages/cloche/serving/**/*.py"))

    assert sources
    for source in sources:
        assert list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")), source


def test_it_does_not_grow_unseen(image: Image):
    used = subprocess.run(
        ["du", "--summarize", "--block-size=1M", image.root], capture_output=True, check=True
    )
    assert int(used.stdout.split()[0]) < LARGEST_MIB


# ── Following a registry ──────────────────────────────────────────────────────────────────────────


def test_it_answers_from_the_version_in_production(follower: Container, rows: dict[str, Any]):
    answer = ask(follower, rows)
    assert answer.headers["x-model-name"] == MODEL
    assert answer.headers["x-model-version"] == "1"
    assert follower.state(MODEL)["predictor"] == "onnx"


def test_it_follows_a_promotion(follower: Container, promoted: str, rows: dict[str, Any]):
    client = MlflowClient(promoted, promoted)
    first = client.get_model_version(MODEL, "1")
    logged = first.source.removeprefix("models:/")
    client.create_model_version(MODEL, first.source, first.run_id, model_id=logged)
    client.set_registered_model_alias(MODEL, "production", "2")
    follower.wait_for_version("2", MODEL)

    assert ask(follower, rows).headers["x-model-version"] == "2"


def test_it_runs_without_rights(follower: Container):
    processes = follower.processes()

    assert len(processes) >= 3  # the front, the registry process and a host
    for status in processes:
        assert status["Uid"].split() == ["10001"] * 4
        assert int(status["CapEff"], 16) == 0
        assert status["NoNewPrivs"] == "1"


def test_its_file_system_is_not_written(follower: Container):
    mounts = Path(f"/proc/{follower.first}/mountinfo").read_text().splitlines()
    (options,) = [line.split()[5] for line in mounts if line.split()[4] == "/"]
    assert "ro" in options.split(",")


def test_its_health_is_what_the_server_says(follower: Container, image: Image, tmp_path: Path):
    nobody = {"CLOCHE_SERVE_PORT": str(free_port())}
    command = image.config["Healthcheck"]["Test"][1:]
    assert follower.check_health() == 0
    assert image.run(*command, entry_point=[], variables=nobody).returncode == 1


# ── A version baked in ────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def baked(engine: Engine, image: Image, promoted: str, tmp_path_factory) -> Image:
    """What `cloche build` makes of version 1."""
    folder = tmp_path_factory.mktemp("baked")
    done = subprocess.run(
        [
            *("cloche", "build", f"models:/{MODEL}/1", "--base", "cloche:tested"),
            *("--engine", "buildah", "--tag", "baked:1", "--", "--pull-never", *engine.pip),
        ],
        env=environment() | engine.environment
        | {"MLFLOW_TRACKING_URI": promoted, "XDG_CACHE_HOME": str(folder)},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return engine.image("baked:1")


@pytest.fixture(scope="module")
def on_vertex(baked: Image, tmp_path_factory) -> Iterator[Container]:
    """The baked image as Vertex AI starts it, without a registry and with no model in a store."""
    variables = {
        "AIP_HTTP_PORT": "PORT", "AIP_HEALTH_ROUTE": "/health-of-7",
        "AIP_PREDICT_ROUTE": "/endpoints/7:predict", "AIP_STORAGE_URI": "",
    }  # fmt: skip
    place = tmp_path_factory.mktemp("vertex")
    with baked.serving(directory=place, variables=variables) as container:
        yield container.wait_until_ready()


def test_a_baked_version_answers_without_a_registry(on_vertex: Container, rows):
    answer = ask(on_vertex, rows, "/invocations")
    assert answer.headers["x-model-name"] == MODEL
    assert answer.headers["x-model-version"] == "1"
    assert on_vertex.state(MODEL)["predictor"] == "onnx"


def test_it_answers_where_vertex_asks(on_vertex: Container, rows):
    table = rows["dataframe_split"]
    instances = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]

    answer = requests.post(
        f"{on_vertex.url}/endpoints/7:predict", json={"instances": instances}, timeout=60
    )

    assert answer.json() == ask(on_vertex, rows).json()
    assert on_vertex.get("/health-of-7").status_code == 200
    assert on_vertex.check_health() == 0


def test_the_image_says_what_is_in_it(baked: Image, promoted: str):
    version = MlflowClient(promoted, promoted).get_model_version(MODEL, "1")

    assert baked.config["Labels"] == baked.config["Labels"] | {
        "cloche.model": MODEL,
        "cloche.version": "1",
        "cloche.digest": version.tags["cloche.digest"],
    }
    assert baked.config["User"] == "10001:10001"


def test_sagemaker_starts_the_image_with_the_model_that_it_unpacked(image, baked, rows, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(baked.root / "srv" / "model", model)
    (model / "cloche-pinned.json").unlink()
    variables = {"SAGEMAKER_BIND_TO_PORT": "PORT"}
    with image.serving(
        "serve", directory=tmp_path, variables=variables, volumes={model: "/opt/ml/model"}
    ) as container:
        assert ask(container.wait_until_ready(), rows).headers["x-model-name"] == "model"
        assert container.get("/ping").status_code == 200
        assert container.end() == 0, container.log.read_text()
        assert "Ended." in container.log.read_text()


def test_a_version_that_was_altered_is_not_built(engine, image, baked, tmp_path):
    """The note is there, and the files are not those that it speaks of."""
    shutil.copytree(baked.root / "srv" / "model", tmp_path / "model")
    with (tmp_path / "model" / "MLmodel").open("a") as file:
        file.write("\n# altered\n")

    done = image.run(
        "-m", "cloche.serving.image.load_check", "/model",
        entry_point=["python"], volumes={tmp_path / "model": "/model"},
    )  # fmt: skip

    assert done.returncode == 1
    assert "not those that were pinned" in done.stdout
