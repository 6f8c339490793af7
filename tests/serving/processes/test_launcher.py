"""Processes that are forked, or started anew: both ways end the same."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloche.serving.errors import HostFailed
from cloche.serving.forkserver.protocol import Program
from cloche.serving.processes.launcher import Process, Processes, kill
from cloche.serving.registry.client import Registry
from cloche.serving.registry.protocol import store_modules
from tests.in_a_loop import in_a_loop
from tests.online import children, wait_for


@contextlib.asynccontextmanager
async def processes(*, forking: bool = True) -> AsyncIterator[Processes]:
    made = Processes(threads=1, forking=forking)
    try:
        yield made
    finally:
        await made.close()


async def registry(made: Processes, cache: Path) -> tuple[Process, socket.socket]:
    """A registry process that has said that it takes questions."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await made.start(Program.REGISTRY, theirs, str(cache))
    ours.sendall(b"{}\n")  # its variables
    ours.setblocking(False)
    hello = await asyncio.get_running_loop().sock_recv(ours, 1024)
    assert json.loads(hello) == {"id": 0}
    return process, ours


def below(name: str) -> set[int]:
    """Processes of this name that the tests of this worker have started."""
    return set(children(os.getpid(), name))


@pytest.mark.parametrize(
    "forking",
    [
        pytest.param(True, id="forked"),
        pytest.param(False, id="anew", marks=pytest.mark.breadth),
    ],
)
@in_a_loop
async def test_a_process_tells_how_it_ended_and_prints_where_it_was_told(
    forking: bool, tmp_path: Path
):
    if forking and sys.platform != "linux":
        pytest.skip("there is no fork server elsewhere")
    readable, writable = os.pipe()
    async with processes(forking=forking) as made:
        process, ours = await registry(made, tmp_path)
        assert process.returncode is None
        kill(process)
        assert await process.wait() == -signal.SIGKILL
        kill(process)  # twice is no mistake
        ours.close()
        process, ours = await registry(made, tmp_path)
        ours.close()
        assert await process.wait() == 0
        ours, theirs = socket.socketpair()
        with theirs, os.fdopen(writable, "wb"):
            process = await made.start(Program.HOST, theirs, output=writable)
        ours.sendall(b"no frame of ours")
        ours.shutdown(socket.SHUT_WR)
        assert await process.wait() == 1
        ours.close()
    with os.fdopen(readable, "rb") as printed:
        assert b"ProtocolError" in printed.read()


@pytest.mark.parametrize(
    ("tracking", "registry", "needed"),
    [
        ("sqlite:////srv/mlflow.db", "", True),
        ("postgresql+psycopg://user@host/mlflow", "", True),
        ("http://mlflow:5000", "MySQL://host/mlflow", True),
        ("", "", True),
        ("http://mlflow:5000", "", False),
        ("databricks", "databricks-uc", False),
        ("./mlruns", "", False),
        ("file:///srv/mlruns", "", False),
    ],
)
def test_what_asks_a_database_is_imported_for_a_database_alone(
    tracking: str, registry: str, needed: bool
):
    named = {"MLFLOW_TRACKING_URI": tracking, "MLFLOW_REGISTRY_URI": registry}
    for variables in (named, {name: uri for name, uri in named.items() if uri}):
        assert bool(store_modules(variables)) == needed


@pytest.mark.skipif(sys.platform != "linux", reason="there is no fork server elsewhere")
@in_a_loop
async def test_what_asks_a_database_is_imported_once_and_not_by_each_registry_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    others = below("cloche-forks")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    async with processes() as made:
        asked = Registry(tmp_path, made)
        await asked.call("last_good", 60, uri="models:/m@production")
        (server,) = below("cloche-forks") - others
        await asked.close()
        mapped = await asyncio.to_thread(Path(f"/proc/{server}/maps").read_text)
    assert "/sqlalchemy/" in mapped


@in_a_loop
async def test_forks_end_with_the_fork_server_and_the_next_has_a_new_one(tmp_path: Path):
    others = below("cloche-forks")
    async with processes() as made:
        process, ours = await registry(made, tmp_path)
        (server,) = below("cloche-forks") - others
        os.kill(server, signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        ours.close()
        again, ours = await registry(made, tmp_path)
        assert again.returncode is None
        assert len(below("cloche-forks") - others - {server}) == 1
        ours.close()


@in_a_loop
async def test_a_fork_server_that_ends_meanwhile_is_no_fault_of_the_program(tmp_path: Path):
    others = below("cloche-forks")
    async with processes() as made:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            starting = asyncio.create_task(made.start(Program.REGISTRY, theirs, str(tmp_path)))
            await asyncio.to_thread(wait_for, lambda: below("cloche-forks") - others)
            (server,) = below("cloche-forks") - others
            os.kill(server, signal.SIGKILL)
            with pytest.raises(OSError, match="The fork server ended"):
                await starting


@in_a_loop
async def test_a_fork_that_nobody_waits_for_any_more_is_ended(tmp_path: Path):
    others = below("cloche-forks") | below("cloche-registry")
    async with processes() as made:
        ours, theirs = socket.socketpair()
        with theirs:
            starting = asyncio.create_task(made.start(Program.REGISTRY, theirs, str(tmp_path)))
            await asyncio.to_thread(wait_for, lambda: below("cloche-forks") - others)
            starting.cancel()
            await asyncio.wait([starting])
        other, theirs = await registry(made, tmp_path)  # is not given the one of before
        assert below("cloche-registry") - others == set(children(other.pid, "cloche-registry"))
        ours.close()
        theirs.close()


@in_a_loop
async def test_what_cannot_be_forked_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    # which Python imports when it starts
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mlflow'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(HostFailed, match="mlflow"):
        async with processes() as made:
            await made.start(Program.HOST, theirs)


@in_a_loop
async def test_what_a_host_turned_out_to_need_is_imported_for_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "needed.py").write_text(
        "from pathlib import Path\nPath(__file__ + '.here').touch()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with processes() as made:
        made.preload(["needed"])  # there is nobody yet who could
        _, ours = await registry(made, tmp_path)
        made.preload(["absent", "needed"])
        await asyncio.to_thread(wait_for, (tmp_path / "needed.py.here").exists)
        ours.close()
