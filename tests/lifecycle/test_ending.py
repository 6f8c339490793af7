"""How a server ends, and what it leaves behind: nothing."""

import os
import signal

import pytest
import requests

from tests.lifecycle.registry import Registry, Serve
from tests.online import COMMAND, Load, children, wait_for

pytestmark = pytest.mark.slow


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("everybody", [False, True], ids=["to the front", "to every process"])
def test_sigterm_under_load_finishes_what_runs_and_exits_with_0(
    registry: Registry, serve: Serve, everybody: bool
) -> None:
    registry.register("is slow")
    registry.promote("1")
    server = serve(program=COMMAND).wait_until_ready()
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
    assert not any(alive(pid) for pid in hosts)


def test_a_killed_front_leaves_no_orphan(registry: Registry, serve: Serve) -> None:
    registry.register("")
    registry.promote("1")
    server = serve(program=COMMAND).wait_until_ready()
    left = server.hosts() + children(server.process.pid, "cloche-registry")
    assert len(left) == 2
    server.end(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in left))


def test_sighup_looks_at_the_registry_at_once(registry: Registry, serve: Serve) -> None:
    registry.register("", "")
    registry.promote("1")
    server = serve("--poll-interval", "3600").wait_until_ready()
    registry.promote("2")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_version("2")


def test_a_port_that_is_taken_is_told_and_nothing_is_started(
    registry: Registry, serve: Serve
) -> None:
    registry.register("")
    registry.promote("1")
    server = serve()
    port = requests.utils.urlparse(server.url).port
    with pytest.raises(AssertionError, match="Choose another --port"):
        serve("--port", str(port))
