"""What an account is told that it may not do: carried out by the administrator, it is enough."""

import re
import warnings
from collections.abc import Callable, Iterator
from unittest.mock import patch

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.exceptions import RestException

from cloche import main
from cloche.serving.errors import ServingError
from cloche.serving.registry.cache import Cache
from cloche.serving.registry.error_messages import explain
from cloche.serving.registry.fetch import fetch
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse
from cloche.training.gate.fetched_version import fetch as fetch_for_gate
from tests.shelf import copy_empty_store
from tests.stores import stores
from tests.team.services import ADMIN, Tracking

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("permissions")]

PASSWORD = "a password that is long enough"  # noqa: S105
GRANT = re.compile(
    r"in Python: (from .*?; client = .*?); (client\.grant_user_permission\(.*?\))\.(?: |$)"
)
REVOKE = re.compile(r"first: (client\.revoke_user_permission\(.*?\))\.$")


class Same(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return model_input


def account(name: str, password: str, url: str) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_TRACKING_USERNAME": name,
        "MLFLOW_TRACKING_PASSWORD": password,
    }


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """A server that lets nobody see what others made, with a version of `m` in production."""
    folder = tmp_path_factory.mktemp("accounts")
    copy_empty_store(folder / "mlflow.db")
    server = Tracking(
        folder, f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts"),
        default_permission="NO_PERMISSIONS",
    )  # fmt: skip
    server.start()
    try:
        with stores(), patch.dict("os.environ", account(*ADMIN, server.url)):
            mlflow.set_experiment("m")
            with mlflow.start_run():
                mlflow.pyfunc.log_model(
                    name="model", python_model=Same(),
                    registered_model_name="m", pip_requirements=[],
                )  # fmt: skip
            MlflowClient().set_registered_model_alias("m", "production", "1")
        yield server
    finally:
        server.stop()


@pytest.fixture
def user(tracking: Tracking, request: pytest.FixtureRequest) -> Iterator[str]:
    """An account without any right, in whose name this process asks."""
    name = re.sub(r"\W+", "-", request.node.name)
    tracking.add_user(name, PASSWORD)
    with stores(), patch.dict("os.environ", account(name, PASSWORD, tracking.url)):
        yield name


def serve_it(tmp_path):
    target = Resolver(MlflowClient).resolve(parse("models:/m@production"))
    fetch(target, Cache(tmp_path / "cache", "r"))


def judge_it(tmp_path):
    fetch_for_gate(MlflowClient().get_model_version("m", "1"), tmp_path)


def look_for_trouble(tmp_path):
    command = ["doctor", "models:/m@production", "--port", "0", "--cache-dir", str(tmp_path)]
    failed = [line for line in CliRunner().invoke(main.cloche, command).stdout.splitlines()
              if line.startswith("fail")]  # fmt: skip
    if failed:
        raise ServingError(failed[0])


def say_what_serves(tmp_path):
    done = CliRunner().invoke(main.cloche, ["status", "m"])
    if done.exception:
        raise done.exception


def start_a_run(tmp_path):
    MlflowClient().create_run("1")


def read_an_experiment(tmp_path):
    MlflowClient().get_experiment_by_name("m")


def note_something(tmp_path):
    MlflowClient().set_model_version_tag("m", "1", "a", "b")


def unlock(tmp_path):
    MlflowClient().set_registered_model_tag("m", "c", "d")
    MlflowClient().delete_registered_model_tag("m", "c")


def move_an_alias(tmp_path):
    MlflowClient().get_model_version_by_alias("m", "production")
    MlflowClient().set_registered_model_alias("m", "candidate", "1")


def take_an_alias_away(tmp_path):
    MlflowClient().delete_registered_model_alias("m", "candidate")


def forget_something(tmp_path):
    MlflowClient().delete_model_version_tag("m", "1", "a")


MODEL, EXPERIMENT = "registered_model", "experiment"
READ_MODEL, READ_EXPERIMENT = (MODEL, "READ"), (EXPERIMENT, "READ")


@pytest.mark.breadth  # needs a server with accounts, which takes seconds to start
@pytest.mark.parametrize(
    ("act", "granted"),
    [
        (look_for_trouble, [READ_MODEL, READ_EXPERIMENT]),
        (move_an_alias, [READ_MODEL, (MODEL, "EDIT")]), (serve_it, [READ_MODEL, READ_EXPERIMENT]),
        (judge_it, [READ_MODEL, READ_EXPERIMENT]), (say_what_serves, [READ_MODEL]),
        (read_an_experiment, [READ_EXPERIMENT]), (start_a_run, [(EXPERIMENT, "EDIT")]),
        (note_something, [READ_MODEL, (MODEL, "EDIT")]), (unlock, [READ_MODEL, (MODEL, "EDIT")]),
        (take_an_alias_away, [READ_MODEL, (MODEL, "MANAGE")]),
        (forget_something, [READ_MODEL, (MODEL, "MANAGE")]),
    ],
)  # fmt: skip
def test_a_right_that_is_named_is_the_least_that_is_needed_and_is_enough(
    act: Callable[..., None], granted: list[tuple[str, str]], user: str, tracking, tmp_path
):
    found = []
    while (message := refused(act, tmp_path)) is not None:
        found.append(carry_out(message, tracking))
        assert len(found) <= len(granted), (found, message)

    assert found == granted


def refused(act: Callable[..., None], folder) -> str | None:
    """What is told of what an account may not do; None if it may."""
    try:
        act(folder)
    except Exception as error:  # noqa: BLE001
        return main._message(error)
    return None


def run(line: str, names: dict[str, object]) -> None:
    exec(line, names)  # noqa: S102  # a line of our own message


def carry_out(message: str, tracking: Tracking) -> tuple[str, str]:
    """Type what a message says, as the administrator; the resource and the permission."""
    client, grant = GRANT.search(message).groups()
    revoke = REVOKE.search(message)
    words = re.findall(r"'([^']*)'", grant)
    grant = grant.replace(", ID,", ", '1',")
    with (
        stores(),
        patch.dict("os.environ", account(*ADMIN, tracking.url)),
        warnings.catch_warnings(action="ignore"),  # MLflow imports its server for this client
    ):
        names: dict[str, object] = {}
        run(client, names)
        try:
            run(grant, names)
        except RestException:
            run(revoke[1], names)
            run(grant, names)
    return words[1], words[-1]


def test_what_nobody_can_know_is_not_guessed():
    """MLflow grants the right to create by roles of a whole workspace."""
    endpoint = "/api/2.0/mlflow/registered-models/create"
    error = mlflow.MlflowException(
        f"API request to endpoint {endpoint} failed with error code 403 != 200. Response body: ''"
    )

    assert f"refused {endpoint}. Ask whoever administers it" in explain(error)
    assert "grant" not in explain(error)
