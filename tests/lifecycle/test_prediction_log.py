"""A server with a prediction log: what it answered is in the spool, whoever was killed."""

import asyncio
import itertools
import os
import random
import shutil
import signal
import subprocess
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import httpx2
import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
import requests

from cloche.asgi import Cloche, Settings
from cloche.serving.host.codecs.open_inference.messages import SERVICE
from cloche.serving.spool.counters import read_counts
from cloche.serving.spool.segment import TakenSegment
from tests.lifecycle import make_stages as made
from tests.lifecycle.make_models import CRASH, LITTLE, REFUSE, SIGNATURE
from tests.lifecycle.registry import Registry, infer_request
from tests.online import Server, serving, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prediction_log")]
LOOKING = Path(__file__).parent / "looking_model.py"
TENSOR = {"name": "a", "datatype": "FP64", "shape": [1], "data": [0.0]}
ROW = {"a": 0.0}
DOORS = {
    "mlflow": ("/invocations", {"dataframe_records": [ROW]}),
    "tf_serving": ("/v1/models/m:predict", {"instances": [ROW]}),
    "torchserve": ("/predictions/m", {"dataframe_records": [ROW]}),
    "open_inference": ("/v2/models/m/infer", {"inputs": [TENSOR]}),
}


class Logging:
    """A server with a log, whose rows stay in the spool: nothing is sealed for an hour."""

    def __init__(self, registry: Registry, server: Server) -> None:
        self.registry, self.server = registry, server
        self.folder = registry.directory / "spool"

    def rows(self) -> list[list[Any]]:
        """The requests of all segments; a record that ends within a kill is none."""
        found = []
        for place in sorted(self.folder.rglob("*.segment")):
            taken = TakenSegment.take(place)
            assert taken is not None
            with taken:
                for requests_, *_ in taken.records():
                    about = [taken.header[name] for name in ("process", "model", "version")]
                    found += [[*request, *about] for request in requests_]
        return found

    def counts(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for place in self.folder.rglob("*.counts"):
            for row in read_counts(place)["counts"]:
                numbers = {name: count for name, count in row.items() if type(count) is int}
                found.update(numbers | {"hour": 0})
        return +found


def start(
    folder: Path, *options: str, models: str = "models:/m@production", **environment: str
) -> Iterator[Logging]:
    registry = Registry(folder)
    if not registry.database.exists():
        registry.register("", promote=True)
    with serving(
        models, "--log", str(folder / "log"), "--log-inputs", "all",
        "--log-spool", str(folder / "spool"), "--log-seal-interval", "3600", *options,
        directory=folder, environment={"MLFLOW_TRACKING_URI": registry.uri, **environment},
    ) as server:  # fmt: skip
        yield Logging(registry, server.wait_until_ready())


@pytest.fixture(scope="module")
def logging_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logging]:
    yield from start(tmp_path_factory.mktemp("log"), "--grpc-port", "0")


def named(name: str) -> dict[str, str]:
    return {"X-Request-Id": name, "X-Prediction-Id": f"p-{name}"}


def test_every_door_logs_alike(logging_: Logging) -> None:
    server = logging_.server
    for door, (path, body) in DOORS.items():
        answer = requests.post(server.url + path, json=body, headers=named(door), timeout=30)
        assert answer.status_code == 200, answer.text
    with grpc.insecure_channel(server.grpc_address()) as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        infer(infer_request(), metadata=[(k.lower(), v) for k, v in named("grpc").items()])
    assert server.predict(REFUSE, headers=named("refused")).status_code == 400
    assert (
        server.predict(path="/models/m/versions/9/invocations", headers=named("none")).status_code
        == 404
    )
    found = {row[0]: row for row in logging_.rows()}
    assert {name: row[7] for name, row in found.items()} == {
        **{door: door for door in DOORS}, "grpc": "grpc open_inference",
        "refused": "mlflow", "none": "mlflow",
    }  # fmt: skip
    assert {name: tuple(row[2:6]) for name, row in found.items() if row[3] != 200} == {
        "refused": (0, 400, "MODEL_FAILED", None),
        "none": (0, 404, "RESOURCE_DOES_NOT_EXIST", None),
    }  # fmt: skip
    assert all(row[12] == f"p-{name}" for name, row in found.items())
    assert [row[14] for row in found.values()].count("front") == 1
    assert logging_.counts() == Counter({"answered": 5, "failed": 2, "computed": 7, "logged": 7})
    logged = wait_for(lambda: server.metric("cloche_log_rows_total", model="m", version="1"))
    assert logged == 7
    assert server.get("/readyz").json()["log"] == {
        "destination": str(logging_.registry.directory / "log"), "promise": "process",
    }  # fmt: skip


def test_a_server_names_its_log_on_the_registered_model(logging_: Logging) -> None:
    model = logging_.registry.client.get_registered_model
    tags = wait_for(lambda: model("m").tags)
    assert tags["cloche.log"] == str(logging_.registry.directory / "log")


@pytest.mark.parametrize(
    "promise",
    ["process", pytest.param("machine", marks=pytest.mark.breadth)],
)
def test_every_answered_row_is_there_once_after_kills_of_hosts_and_front(
    tmp_path: Path, promise: str
) -> None:
    generator = start(tmp_path, "--replicas", "2", "--log-promise", promise)
    logged = next(generator)
    server, answered, ended = logged.server, list[str](), threading.Event()
    numbers = itertools.count()

    def ask() -> None:
        with requests.Session() as session:
            while not ended.is_set():
                name = f"r{next(numbers)}"
                body = {"dataframe_records": [ROW, ROW]}
                with suppress(requests.RequestException):
                    answer = session.post(
                        f"{server.url}/invocations", json=body, headers=named(name), timeout=60
                    )
                    if answer.status_code == 200:
                        answered.append(name)

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    lottery = random.Random(promise)  # noqa: S311  # not a secret
    for _ in range(4):
        before = len(answered)
        wait_for(lambda: len(answered) > before + lottery.randrange(10, 60))  # noqa: B023
        hosts = wait_for(server.hosts)
        with suppress(ProcessLookupError):
            os.kill(lottery.choice(hosts), signal.SIGKILL)
    before = len(answered)
    wait_for(lambda: len(answered) > before + 20)
    server.process.kill()
    server.process.wait()
    ended.set()
    for client in clients:
        client.join()
    rows = Counter((row[0], row[8]) for row in logged.rows() if row[3] == 200)
    assert max(rows.values()) == 1
    missing = set(answered) - {name for name, _ in rows}
    assert missing == set()
    counted = logged.counts()["answered"]
    assert 2 * len(answered) <= counted <= 2 * len({name for name, _ in rows})
    generator.close()


def test_a_request_whose_host_was_lost_is_logged_by_the_second_and_by_the_front(
    logging_: Logging,
) -> None:
    answer = logging_.server.predict(CRASH, headers=named("lost"))
    assert answer.status_code == 503
    (row,) = [row for row in logging_.rows() if row[0] == "lost"]
    assert (row[3], row[4], row[8], row[14]) == (503, "TEMPORARILY_UNAVAILABLE", 2, "front")
    wait_for(lambda: logging_.server.predict().status_code == 200)


def test_a_full_spool_costs_rows_and_no_answers(tmp_path: Path) -> None:
    for logged in start(tmp_path, "--log-spool-size", "1"):
        rows = {"dataframe_records": [ROW] * 5000}
        for _ in range(40):
            assert len(logged.server.get_predictions(rows)) == 5000
        counts = logged.counts()
        assert counts["computed"] == counts["answered"] == 200_000
        assert counts["logged"] + counts["dropped: spool full"] == 200_000
        dropped = logged.server.metric("cloche_log_dropped_total", reason="spool full")
        assert counts["dropped: spool full"] == dropped > 0
        assert sum(p.stat().st_size for p in logged.folder.rglob("*.segment")) <= 1 << 20


@pytest.mark.breadth
def test_a_full_disk_costs_rows_and_no_answers(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=False
    ).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        for logged in start(tmp_path, "--log-spool", str(disk)):
            logged.folder = disk
            rows = {"dataframe_records": [ROW] * 5000}
            for _ in range(60):
                assert len(logged.server.get_predictions(rows)) == 5000
            counts = logged.counts()
            assert counts["computed"] == counts["answered"] == 300_000
            assert counts["logged"] + counts["dropped: disk full"] == 300_000
            dropped = logged.server.metric("cloche_log_dropped_total", reason="disk full")
            assert counts["dropped: disk full"] == dropped > 0
            assert sum(row[2] for row in logged.rows()) == counts["logged"]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_workers_log_into_one_spool(tmp_path: Path) -> None:
    for logged in start(tmp_path, "--workers", "2"):
        for number in range(20):
            assert logged.server.predict(headers=named(f"w{number}")).status_code == 200
        assert {row[0] for row in logged.rows()} == {f"w{number}" for number in range(20)}
        assert logged.counts() == Counter({"answered": 20, "computed": 20, "logged": 20})
        servers = {read_counts(place)["server"] for place in logged.folder.rglob("*.counts")}
        assert len(servers) == 1


def test_arms_log_under_their_names(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.register("", "", "", promote=True)
    registry.client.set_model_version_tag("m", "2", "cloche.shadow_percent", "50")
    registry.client.set_model_version_tag("m", "3", "cloche.canary_percent", "50")
    registry.promote("2", alias="shadow")
    registry.promote("3", alias="canary")
    for logged in start(tmp_path):
        server, rows = logged.server, logged.rows
        for arm in ("shadow", "canary"):
            wait_for(lambda: server.state().get(arm, {}).get("ready"))  # noqa: B023
        versions = Counter[str]()
        for number in range(40):
            answer = server.predict(headers=named(f"s{number}"))
            versions[answer.headers["x-model-version"]] += 1
        path = f"{server.url}/v1/models/m/labels/shadow:predict"
        requests.post(path, json={"instances": [ROW]}, headers=named("direct"), timeout=30)
        wait_for(lambda: any(row[6] == "shadow" for row in rows() if row[0] != "direct"))  # noqa: B023
        found = [(row[0], (row[6], row[8], row[16])) for row in rows()]
        arms = Counter(about for name, about in found if name != "direct")
        assert arms["production", 1, "1"] == versions["1"] > 0
        assert arms["canary", 1, "3"] == versions["3"] > 0
        others = {("production", 1, "1"), ("canary", 1, "3"), ("shadow", 1, "2")}
        assert arms.keys() - {("baseline", 1, "1")} == others
        assert [about for name, about in found if name == "direct"] == [("shadow", 1, "2")]
        assert logged.counts()["answered"] == 41


@pytest.mark.breadth
def test_a_stage_logs_its_prepared_columns_under_its_own_name(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for model, kind in (("s", made.STAGE), ("m", made.MODEL)):
        registry.register(model=model)
        made.save(registry.artifacts("1", model), 1, kind)
        source = str(registry.artifacts("1", model))
        registry.client.create_model_version(model, source=source)
        registry.promote("1", model)
    registry.client.set_model_version_tag("m", "1", "cloche.before", "models:/s@production")
    for logged in start(tmp_path):
        assert logged.server.predict(0.5, headers=named("x")).json() == {"predictions": [1501.0]}
        found = {row[15]: row for row in logged.rows()}
        assert found.keys() == {"s", "m"}
        assert {row[0] for row in found.values()} == {"x"}
        assert {row[8] for row in found.values()} == {1}
        assert logged.counts()["answered"] == 1
        tagged = [registry.client.get_registered_model(name).tags for name in "sm"]
        assert [tags["cloche.log"] for tags in tagged] == [str(tmp_path / "log")] * 2


@pytest.mark.breadth
def test_a_mounted_server_logs_as_well(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.register("")
    model = registry.artifacts("1")
    settings = Settings(
        models=(f"m={model}",), cache_directory=tmp_path / "cache", log=str(tmp_path / "log"),
        log_spool=tmp_path / "spool", log_inputs=("all",), log_seal_interval=3600.0,
    )  # fmt: skip

    async def ask() -> list[int]:
        cloche = Cloche(settings)
        transport = httpx2.ASGITransport(cloche)
        async with cloche.lifespan(), httpx2.AsyncClient(transport=transport) as client:
            statuses = [503]
            while statuses[-1] == 503:
                await asyncio.sleep(0.1)
                body = {"dataframe_records": [ROW]}
                answer = await client.post("http://m/invocations", json=body, headers=named("x"))
                statuses.append(answer.status_code)
            return statuses[-1:]

    assert asyncio.run(ask()) == [200]
    rows = [
        row
        for file in (tmp_path / "log").rglob("model=m/**/*.parquet")
        for row in pq.ParquetFile(file).read().to_pylist()
    ]
    assert {(row["request_id"], row["status"]) for row in rows} <= {("x", 200), ("x", 503)}
    assert [row["i_a"] for row in rows if row["status"] == 200] == [0.0]


@pytest.mark.breadth  # builds an environment
def test_a_host_in_an_environment_of_its_own_logs_without_msgspec(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.register("")
    shutil.rmtree(registry.artifacts("1"))
    with warnings.catch_warnings(action="ignore"):  # hints about a signature that is given
        mlflow.pyfunc.save_model(
            registry.artifacts("1"), python_model=str(LOOKING), signature=SIGNATURE,
            input_example=pd.DataFrame({"a": [0.0]}), pip_requirements=[*LITTLE, "packaging==24.2"],
        )  # fmt: skip
    registry.promote("1")
    for logged in start(tmp_path, "--env-manager", "uv"):
        assert logged.server.predict(2.0, headers=named("x")).status_code == 200
        (row,) = logged.rows()
        assert row[:6] == ["x", row[1], 1, 200, "", "model"]
