"""Cloche in somebody else's program: run by ASGI servers, mounted in FastAPI, or asked in place."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cloche.asgi import Cloche, Settings
from cloche.client import AsyncClient, Client, Retries
from tests.lifecycle.registry import Registry
from tests.online import Server, children, wait_for
from tests.shell import answers, environment, free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mounted")]

ROW = [{"a": 0.0}]
PROGRAM = """
import sys
from pathlib import Path
from cloche.asgi import Cloche, Settings
from cloche.serving.web.answer_headers import ANSWER_HEADERS
from fastapi import FastAPI

ANSWER_HEADERS.append(("x-served-by", "a test"))
cloche = Cloche(Settings(models=("m={model}",), cache_directory=Path("cache")))
app = FastAPI(lifespan=cloche.lifespan)
app.mount("/cloche", cloche)

@app.get("/own")
def own() -> str:
    return "mine"

forgetful = FastAPI()
forgetful.mount("/cloche", cloche)
wrong = Cloche(Settings(models=("no/such/folder",), cache_directory=Path("cache")))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    registry = Registry(tmp_path_factory.mktemp("mounted"))
    registry.register("")
    return registry.artifacts("1")


@pytest.fixture(scope="module")
def folder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a program that serves the model."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text(PROGRAM.format(model=model))
    return folder


@contextlib.contextmanager
def running(folder: Path, application: str, *, server: str = "uvicorn") -> Iterator[Server]:
    """A program, run by an ASGI server that is not ours."""
    port = free_port()
    where = ("--port", str(port)) if server == "uvicorn" else ("--bind", f"127.0.0.1:{port}")
    log = folder / f"{server}-{application}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", server, f"program:{application}", *where],
            cwd=folder, env=environment(), stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield Server(process, log, f"http://127.0.0.1:{port}")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def behind(program: int) -> list[int]:
    """All processes that Cloche started below this one."""
    names = ("cloche-forks", "cloche-registry", "cloche-host")
    return [pid for name in names for pid in children(program, name)]


@pytest.mark.parametrize(
    "server", ["uvicorn", pytest.param("hypercorn", marks=pytest.mark.breadth)]
)
def test_any_asgi_server_runs_it_and_ends_it(folder: Path, server: str):
    with running(folder, "cloche", server=server) as program:
        wait_for(lambda: answers(f"{program.url}/readyz"))
        hosts = program.hosts()
        with Client(program.url) as client:
            assert client.predict(ROW).values == [1]

        program.end()

        assert hosts
        assert not any(Path(f"/proc/{host}").exists() for host in hosts), program.log.read_text()


@pytest.fixture(scope="module")
def fastapi(folder: Path) -> Iterator[Server]:
    with running(folder, "app") as program:
        wait_for(lambda: answers(f"{program.url}/cloche/readyz"))
        yield program


def test_a_mounted_model_answers_below_its_mount(fastapi: Server):
    with Client(f"{fastapi.url}/cloche", model="m") as client:
        assert client.predict(ROW).values == [1]


def test_the_page_and_its_files_lie_below_the_mount(fastapi: Server):
    page = fastapi.get("/cloche/").text
    files = re.findall(r'(?:src|href)="(page/[^"]+)"', page)

    assert files
    assert {fastapi.get(f"/cloche/{file}").status_code for file in files} == {200}


def test_an_error_below_the_mount_has_the_form_of_the_protocol(fastapi: Server):
    answer = fastapi.get("/cloche/nowhere")

    assert (answer.status_code, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_every_answer_below_the_mount_has_the_headers_of_every_answer(fastapi: Server):
    for path in ("/", "/livez", "/nowhere", "/invocations"):
        assert fastapi.get(f"/cloche{path}").headers["x-served-by"] == "a test"
    assert fastapi.predict(path="/cloche/invocations").headers["x-served-by"] == "a test"
    own = fastapi.get("/own")
    assert (own.json(), "x-served-by" in own.headers) == ("mine", False)


def test_a_program_that_does_not_start_it_is_told_how(folder: Path):
    with running(folder, "forgetful") as program:
        wait_for(lambda: answers(f"{program.url}/docs"))
        answer = program.get("/cloche/readyz")

    assert (answer.status_code, answer.headers["x-served-by"]) == (503, "a test")
    assert "FastAPI(lifespan=cloche.lifespan)" in answer.json()["message"]


def test_a_mistake_ends_the_program_with_a_reason(folder: Path):
    with running(folder, "wrong") as program:
        assert program.process.wait(60) != 0

    assert "no/such/folder: there is no such folder" in program.log.read_text()


def test_a_program_asks_in_place(model: Path, tmp_path: Path):
    cloche = Cloche(Settings(models=(f"m={model}",), cache_directory=tmp_path))

    async def ask() -> Any:
        transport = httpx2.ASGITransport(cloche)
        async with (
            cloche.lifespan(),
            AsyncClient("http://here", transport=transport, retries=Retries(attempts=99)) as client,
        ):
            return (await client.predict(ROW)).values

    assert asyncio.run(ask()) == [1]


def test_a_mounted_model_may_have_a_canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    registry = Registry(tmp_path)
    registry.register("", "", promote=True)
    registry.client.set_model_version_tag("m", "2", "cloche.canary_percent", "100")
    registry.promote("2", alias="canary")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    cloche = Cloche(Settings(models=("models:/m@production",), cache_directory=tmp_path))

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(cloche)
        async with (
            cloche.lifespan(),
            httpx2.AsyncClient(transport=transport, base_url="http://here") as client,
            asyncio.timeout(180),
        ):
            while True:
                answer = await client.post("/invocations", json={"dataframe_records": ROW})
                if answer.headers.get("x-model-arm") == "canary":
                    return answer
                await asyncio.sleep(0.1)

    answer = asyncio.run(ask())
    assert (answer.headers["x-model-version"], answer.json()) == ("2", {"predictions": [2]})


def test_nothing_is_left_when_it_was_ended(model: Path, tmp_path: Path):
    cloche = Cloche(Settings(models=(f"m={model}",), cache_directory=tmp_path))
    others = behind(os.getpid())  # programs of other tests

    async def start() -> None:
        async with cloche.lifespan():
            await asyncio.to_thread(wait_for, lambda: len(behind(os.getpid())) > len(others))

    asyncio.run(start())

    assert behind(os.getpid()) == others
