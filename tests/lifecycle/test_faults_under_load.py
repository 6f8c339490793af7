"""Whatever models and the registry do, under load: nobody who asks a healthy model notices.

With `CLOCHE_FAULT_SECONDS=60` each fault is lived with for a minute under 64 connections, and `-s`
prints what was seen.
"""

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.lifecycle.make_models import HANG, STARTS_AND_RAISES
from tests.lifecycle.registry import Registry, Serve
from tests.online import COMMAND, Load, Server, is_running, started, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.breadth]

SECONDS = float(os.environ.get("CLOCHE_FAULT_SECONDS", "0"))  # of load around each fault, at least
CONNECTIONS = 64 if SECONDS else 16  # every answer takes processor time from the tests beside it
ANSWERS = 500  # between two events
Fault = Callable[[Server, Registry, str], None]


def a_load_that_fails_and_leaves_children(server: Server, registry: Registry, bad: str) -> None:
    registry.promote(bad)
    wait_for(lambda: f"Version {bad} cannot serve" in (server.state()["problem"] or ""), 30)


def a_load_that_hangs(server: Server, registry: Registry, bad: str) -> None:
    registry.promote(bad)
    wait_for(lambda: (loading := server.state()["loading"]) and loading["version"] == bad, 30)


def a_prediction_that_hangs(server: Server, registry: Registry, bad: str) -> None:
    del registry, bad
    assert server.predict(HANG, path="/models/other/invocations").status_code == 504


def a_host_that_is_killed(server: Server, registry: Registry, bad: str) -> None:
    del registry, bad
    hosts = wait_for(server.hosts)
    for pid in hosts:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(server.hosts()) == 2 and not set(hosts) & set(server.hosts()))


def a_registry_that_is_away(server: Server, registry: Registry, bad: str) -> None:
    del bad
    contents = registry.database.read_bytes()
    registry.database.write_bytes(b"no database, for open connections too")
    wait_for(lambda: server.metric("cloche_registry_age_seconds", model="m") > 1)
    wait_for(lambda: server.get("/readyz").json()["problem"] and server.state()["problem"])
    registry.database.write_bytes(contents)


FAULTS: dict[Fault, str] = {  # and the behaviour of every second version
    a_load_that_fails_and_leaves_children: STARTS_AND_RAISES,
    a_load_that_hangs: "hangs",
    a_prediction_that_hangs: "",
    a_host_that_is_killed: "",
    a_registry_that_is_away: "",
}


def test_faults_under_load_fail_no_request_of_a_healthy_model(
    registry: Registry, serve: Serve
) -> None:
    """One server lives through all of them, each followed by the promotion of a good version."""
    pids = registry.directory / "pids"
    pids.mkdir()
    registry.register("", promote=True)
    registry.register("", model="other", promote=True)
    limits = ("--predict-timeout", "2", "--drain-timeout", "10")
    server = serve("--all", *limits, program=COMMAND).wait_until_ready()
    seen: set[int] = set()
    bad = 2
    with Load(server, clients=CONNECTIONS, path="/models/m/invocations") as load:
        for fault, behaviour in FAULTS.items():
            registry.register(f"{behaviour}{pids}" if behaviour == STARTS_AND_RAISES else behaviour)
            registry.register("")
            load.wait_for_more(ANSWERS)
            before, began = load.answered, time.monotonic()
            time.sleep(SECONDS / 2)
            fault(server, registry, str(bad))
            seen |= set(server.hosts())
            load.wait_for_more(ANSWERS)
            time.sleep(SECONDS / 2)
            registry.promote(str(bad + 1))
            server.wait_for_version(str(bad + 1))
            assert not load.failures, fault.__name__
            count, seconds = load.answered - before, time.monotonic() - began
            print(f"{fault.__name__}: 0 of {count} requests failed in {seconds:.0f} s")  # noqa: T201
            bad += 2
        load.wait_for_more(ANSWERS)
    assert not load.failures
    wait_for(lambda: server.state()["problem"] is None)
    hanging = threading.Thread(target=ask_in_vain, args=(server,))
    hanging.start()
    wait_for(lambda: server.metric("cloche_requests_in_progress", model="other") == 1)
    server.process.terminate()
    assert server.process.wait(20) == 0  # the drain time, and as much for a busy machine
    hanging.join()
    assert not [pid for pid in seen if is_running(pid)]
    assert not started(pids)


def ask_in_vain(server: Server) -> None:
    """Ask what hangs; the connection may end before there is an answer."""
    try:
        server.predict(HANG, path="/models/other/invocations")
    except OSError:
        return
