"""Features by key: training, batch and online agree, and a stage says what its store lacks."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import requests
from mlflow import MlflowClient

from cloche.serving.registry.names import BEFORE_TAG
from tests import apart
from tests.online import Server, serving, wait_for
from tests.shelf import copy_empty_store
from tests.shell import environment, free_port, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.breadth,
    pytest.mark.xdist_group("features"),
    pytest.mark.timeout(1500),  # each command of Feast imports for ten seconds
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "features_by_key"
DAYS = ("2013-01-14", "2013-01-15")
EACH_DAY = 500
KEYS = ["carrier", "flight", "origin", "destination", "hour"]
STAGE = "models:/flight-features@production"
OWN = ("--env-manager", "uv")
PATIENT = ("--timeout", "1200")  # nothing keeps the bytecode of what the gate imports


@dataclass(frozen=True)
class Team:
    """Who copied the example: a registry with the stage, and a store with nothing in it yet."""

    folder: Path
    programs: Path

    @property
    def repo(self) -> Path:
        return self.folder / "feature_repo"

    @property
    def variables(self) -> dict[str, str]:
        return environment() | {
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "UV_CACHE_DIR": str(apart.UV_CACHE),
        }

    def run(self, *command: str | Path, code: int = 0) -> str:
        """Run a command, in Feast's environment if it is of one."""
        named = [shutil.which(command[0], path=self.programs) or command[0], *command[1:]]
        done = subprocess.run(
            named, cwd=self.folder, env=self.variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.variables["MLFLOW_TRACKING_URI"])

    def materialize(self, day: str) -> None:
        self.run("feast", "--chdir", self.repo, "materialize", f"{day}T00:00", f"{day}T23:59")

    def asked(self) -> pd.DataFrame:
        """The flights whose features are compared: so many of each day."""
        flights = pd.read_parquet(self.repo / "data" / "flights.parquet")
        return flights.groupby("flight_date").head(EACH_DAY)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    programs = apart.programs("feast")
    folder = tmp_path_factory.mktemp("features") / "copy"
    shutil.copytree(EXAMPLE, folder)
    copy_empty_store(folder / "mlflow.db")
    team = Team(folder, programs)
    team.run("cloche", "sample", "flights", "flights.csv", "--from", DAYS[0], "--to", DAYS[1])
    team.run("python", "sources.py", "flights.csv", team.repo / "data")
    flights = pd.read_parquet(team.repo / "data" / "flights.parquet")
    flights.loc[flights.index[0], "flight"] = 9999  # is in no schedule
    flights.loc[flights.index[1], "hour"] = "2013-01-14T03"  # of which there is no report
    flights.to_parquet(team.repo / "data" / "flights.parquet")
    team.run("feast", "--chdir", team.repo, "apply")
    team.run("python", "log_stage.py", team.repo)
    team.client.set_registered_model_alias("flight-features", "production", "1")
    team.run("python", "training_table.py", team.repo, "training.parquet")
    return team


@pytest.fixture(scope="module")
def server(team: Team) -> Iterator[Server]:
    """What serves the stage alone, with the first day in its store."""
    team.materialize(DAYS[0])
    with serving(STAGE, *OWN, directory=team.folder, environment=team.variables) as server:
        yield server.wait_until_ready()


def online(server: Server, rows: pd.DataFrame) -> pd.DataFrame:
    body = {"dataframe_split": rows[KEYS].to_dict("split", index=False)}
    answer = requests.post(f"{server.url}/invocations", json=body, timeout=60)
    assert answer.ok, answer.text
    return pd.DataFrame(answer.json()["predictions"])


def test_training_batch_and_online_have_the_same_features(team: Team, server: Server) -> None:
    asked = team.asked()
    assert len(asked) == len(DAYS) * EACH_DAY
    answers = []
    for day, rows in asked.groupby(asked["flight_date"].dt.strftime("%F")):
        if day != DAYS[0]:
            team.materialize(day)
        rows[KEYS].to_parquet(team.folder / "rows.parquet")
        team.run("cloche", "score", STAGE, "rows.parquet", f"{day}.parquet", *OWN, "--no-track")
        answers.append((online(server, rows), pd.read_parquet(team.folder / f"{day}.parquet")))
    training = pd.read_parquet(team.folder / "training.parquet")
    training = training.loc[asked.index].drop(columns=["flight", "hour", "flight_date", "late"])
    for way in (0, 1):
        answered = pd.concat([each[way] for each in answers]).set_index(asked.index)
        pd.testing.assert_frame_equal(answered, training, check_exact=True)
    assert training.iloc[0].isna().sum() == 6  # the unknown flight has weather
    assert training.iloc[1].isna().sum() == 4
    assert set(training.dtypes.astype(str)) == {"str", "float64"}


@pytest.fixture(scope="module")
def lacking(team: Team) -> list[str]:
    """What the store of the stage's second version lacks."""
    repo = team.folder / "lacking_repo"
    shutil.copytree(team.repo, repo, ignore=shutil.ignore_patterns("*.db"))
    changed = (repo / "definitions.py").read_text()
    for old, new in {'name="plane",': 'name="plane", online=False,', "visibility": "sight"}.items():
        assert old in changed
        changed = changed.replace(old, new)
    (repo / "definitions.py").write_text(changed)
    team.run("feast", "--chdir", repo, "apply")
    version = team.folder / "version 2"
    shutil.copytree(team.client.get_model_version_download_uri("flight-features", "1"), version)
    told = (version / "MLmodel").read_text()
    (version / "MLmodel").write_text(told.replace(str(team.repo), str(repo)))
    team.client.create_model_version("flight-features", str(version))
    return [
        "weather:temperature (not materialized)",
        "weather:visibility (unknown)",
        "schedule:distance (not materialized)",
        "plane:plane_built (not online)",
    ]


def test_a_server_names_what_the_store_of_a_new_stage_lacks(
    team: Team, server: Server, lacking: list[str]
) -> None:
    team.client.set_registered_model_alias("flight-features", "production", "2")

    def problem() -> str:
        return server.state("flight-features")["problem"] or ""

    wait_for(lambda: "The online store lacks" in problem())
    for feature in lacking:
        assert feature in problem()
    assert server.version("flight-features") == "1"
    team.client.set_registered_model_alias("flight-features", "production", "1")


def test_the_gate_names_what_the_store_of_a_stage_lacks(team: Team, lacking: list[str]) -> None:
    """The session of docs/stages.md has the gate pass the pair, which is scored and served."""
    recipe = team.folder / "recipe.yaml"
    dates = {
        "2013-01-01, 2013-01-24": f"{DAYS[0]}, {DAYS[0]}",
        "2013-01-25, 2013-01-31": f"{DAYS[1]}, {DAYS[1]}",
    }
    text = recipe.read_text().replace("minimum: {roc_auc: 0.6}", "minimum: {}")
    for old, new in dates.items():
        assert old in text
        text = text.replace(old, new)
    recipe.write_text(text)
    team.run("cloche", "train", "recipe.yaml")
    team.client.set_model_version_tag("flight-delay-by-key", "1", BEFORE_TAG, STAGE)
    before = ("--before", "models:/flight-features/2")
    told = team.run(
        "cloche", "promote", "flight-delay-by-key", "--policy", "policy.yaml", *before, *OWN,
        *PATIENT, code=3,
    )  # fmt: skip
    for feature in lacking:
        assert feature in " ".join(told.split())


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis server."""
    found, port = program("redis-server", "redis-server"), free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([found, *options], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def test_redis_has_the_same_features_as_training(team: Team, redis: str) -> None:
    repo = team.folder / "redis_repo"
    shutil.copytree(team.repo, repo, ignore=shutil.ignore_patterns("*.db"))
    config = repo / "feature_store.yaml"
    store = f'type: redis, connection_string: "{redis}"'
    config.write_text(config.read_text().replace("type: sqlite, path: data/online.db", store))
    assert store in config.read_text()
    team.run("feast", "--chdir", repo, "apply")
    asked = team.asked()
    asked[[*KEYS, "flight_date"]].to_parquet(team.folder / "rows.parquet")
    look_up = Path(__file__).parent / "look_up.py"
    team.run("python", look_up, "models:/flight-features/1", repo, "rows.parquet", "redis.parquet")
    found = pd.read_parquet(team.folder / "redis.parquet")
    training = pd.read_parquet(team.folder / "training.parquet")
    pd.testing.assert_frame_equal(found, training.loc[asked.index, list(found)], check_exact=True)
    assert found.isna().sum().sum() > 100
