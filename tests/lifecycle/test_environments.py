"""Hosts in environments that are built from what their version was logged with."""

from pathlib import Path

import pytest

from tests.lifecycle.registry import Registry, Serve
from tests.online import COMMAND, wait_for

pytestmark = pytest.mark.slow

LOADING = "The first version is being loaded."


@pytest.mark.parametrize("manager", ["uv", pytest.param("virtualenv", marks=pytest.mark.breadth)])
def test_a_host_in_an_environment_of_its_own_serves(
    registry: Registry, serve: Serve, manager: str
) -> None:
    registry.register("")
    registry.promote("1")
    server = serve("--env-manager", manager, program=COMMAND)
    wait_for(lambda: server.version() or server.state()["problem"] not in (None, LOADING), 400)
    assert server.predict().json() == {"predictions": [1]}
    (host,) = server.hosts()
    interpreter = (Path("/proc") / str(host) / "cmdline").read_text().split("\0")[0]
    assert Path(interpreter).is_relative_to(registry.directory / "cache")


def test_an_environment_that_cannot_be_built_is_told(registry: Registry, serve: Serve) -> None:
    registry.register("")
    (registry.artifacts("1") / "requirements.txt").write_text("a-package-that-nobody-has==1.2.3\n")
    registry.promote("1")
    server = serve("--env-manager", "uv")
    wait_for(lambda: "a-package-that-nobody-has" in (server.state()["problem"] or ""))
    assert server.predict().status_code == 503
