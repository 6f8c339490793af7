"""How a server ends, and what it leaves behind: nothing."""

import os
import signal
from pathlib import Path

import pytest

from tests.lifecycle import make_models
from tests.lifecycle.registry import Registry, Serve
from tests.online import COMMAND, Load, children, is_running, started, wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "everybody",
    [
        pytest.param(False, id="to the front", marks=pytest.mark.breadth),
        pytest.param(True, id="to every process"),
    ],
)
def test_sigterm_under_load_finishes_what_runs_and_exits_with_0(
    registry: Registry, serve: Serve, everybody: bool
) -> None:
    registry.register("is slow", promote=True)
    server = serve().wait_until_ready()
    hosts = server.hosts()
    with Load(server, clients=4) as load:
        load.wait_for_more(4)
        if everybody:  # as systemd does
            for pid in hosts + children(server.process.pid, "cloche-registry"):
                os.kill(pid, signal.SIGTERM)
        assert server.end(signal.SIGTERM) == 0
        load._stop.set()
    answered = [failure for failure in load.failures if "ConnectionError" not in failure]
    assert not answered  # whoever was let in was answered well
    assert not any(is_running(pid) for pid in hosts)


def test_a_killed_front_leaves_no_orphan_and_signals_of_others_change_nothing(
    registry: Registry, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "pids").mkdir()
    registry.register(f"{make_models.STARTS}{tmp_path}/pids", promote=True)
    server = serve(program=COMMAND).wait_until_ready()
    left = server.hosts() + children(server.process.pid, "cloche-registry")
    assert len(left) == 2
    assert len(started(tmp_path / "pids")) >= 3
    for pid in (server.process.pid, *left, *children(server.process.pid, "cloche-forks")):
        os.kill(pid, signal.SIGUSR1)  # it means nothing to any of them
    wait_for(lambda: "SIGUSR1 means nothing" in server.log.read_text())
    assert server.predict().ok
    assert server.metric("cloche_lost_hosts_total") == 0
    server.end(signal.SIGKILL)
    wait_for(lambda: not any(is_running(pid) for pid in left) and not started(tmp_path / "pids"))
    assert (tmp_path / "pids" / "asked").exists()


def test_nothing_that_a_version_started_outlives_its_host(
    registry: Registry, serve: Serve, tmp_path: Path
) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for folder in (one, two, three):
        folder.mkdir()
    registry.register(
        f"{make_models.STARTS}{one}",
        f"{make_models.STARTS_AND_RAISES}{two}",
        f"{make_models.STARTS}{three}",
    )
    registry.promote("1")
    server = serve().wait_until_ready()
    assert len(started(one)) >= 3

    registry.promote("2")
    wait_for(lambda: "Version 2 cannot serve: RuntimeError" in str(server.state()["problem"]))
    registry.promote("3")  # followed, although children of the failed load held its output open
    server.wait_for_version("3")
    wait_for(lambda: not started(one) and not started(two))
    assert (one / "asked").exists()
    assert (two / "asked").exists()

    first = started(three)
    assert len(first) >= 3
    os.kill(int((three / "host").read_text()), signal.SIGKILL)
    wait_for(lambda: server.predict().ok)
    wait_for(lambda: not any(is_running(pid) for pid in first))

    assert server.end(signal.SIGTERM) == 0
    assert not started(three)
    assert (three / "asked").exists()


def test_sighup_looks_at_the_registry_at_once(registry: Registry, serve: Serve) -> None:
    registry.register("", "", promote=True)
    server = serve("--poll-interval", "3600").wait_until_ready()
    registry.promote("2")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_version("2")
