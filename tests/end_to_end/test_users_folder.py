"""Cloche where a user works: among modules of any name, with models that bring such modules."""

import shutil
from pathlib import Path

import pytest

from tests import spark
from tests.end_to_end.users_folder import User, fill, save_version
from tests.online import COMMAND, wait_for
from tests.shelf import empty_store
from tests.shell import free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("users_folder")]

BOTH, EMPTY = "the working directory and PYTHONPATH", "an empty entry of PYTHONPATH"
BY = [1.0 + 10 * at for at in range(200)]  # what version 1 answers for the rows 0 to 199


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two versions, each with modules `training`, `serving` and others of its own."""
    return [save_version(tmp_path_factory.mktemp(f"repository {at}"), at) for at in (1, 2)]


@pytest.fixture(scope="module", params=[BOTH, pytest.param(EMPTY, marks=pytest.mark.breadth)])
def user(
    request: pytest.FixtureRequest, models: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> User:
    """Somebody with version 1 in production, and modules that must not be imported."""
    folder = tmp_path_factory.mktemp("a folder of 사용자")
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'registry.db'}"}
    fill(folder)
    shutil.copy(empty_store(), folder / "registry.db")
    if request.param == BOTH:
        crowded = tmp_path_factory.mktemp("modules")
        fill(crowded)
        variables["PYTHONPATH"] = str(crowded)
    else:  # which is the working directory
        variables["PYTHONPATH"] = ":/nowhere"
    user = User(COMMAND.parent, folder, variables)
    user.register(*models)
    user.point("production", 1)
    return user


def test_a_batch_job_has_the_answers_of_the_model(user: User) -> None:
    assert user.score("--workers", "2") == BY


@pytest.mark.breadth  # where there are modules in both, test_wheel.py does it by single commands
@pytest.mark.parametrize("user", [EMPTY], indirect=True)
def test_commands_work_where_an_entry_of_pythonpath_is_empty(user: User) -> None:
    """By processes of every kind: they train, judge, serve, show the registry and score."""
    ports = ("--port", str(free_port()), "--ui-port", str(free_port()))
    said = user.run("up", "breast-cancer", "--check", *ports)
    assert "online" in said
    assert "batch   143 rows" in said


@pytest.mark.breadth
@pytest.mark.parametrize("user", [BOTH], indirect=True)
def test_a_host_in_an_environment_of_its_own_has_the_answers_of_the_model(user: User) -> None:
    with user.serving("--env-manager", "uv") as server:
        wait_for(lambda: server.version() == "1", 400)
        assert server.predict(3).json() == {"predictions": [31.0]}


@pytest.mark.breadth
@pytest.mark.parametrize("user", [BOTH], indirect=True)
@pytest.mark.parametrize("manager", ["local", "uv"])
def test_spark_has_the_answers_of_the_model(user: User, manager: str) -> None:
    spark.needed()
    options = ("--engine", "spark", "--spark-master", "local[2]", "--part-rows", "50")
    assert user.score(*options, "--env-manager", manager) == BY
