"""What the code of a model does to its process hits that process, and nobody else."""

import re
import signal

import pytest

from tests.lifecycle.registry import Registry, Serve
from tests.online import is_running, wait_for

pytestmark = pytest.mark.slow

# value of a row: what the log says of each host that it costs; see `make_models.DEEDS`
SOME = {
    -101: "The host exited with code 3.",
    -104: "The host said nothing for 3 s",
}
OTHERS = {
    -102: "The host was killed by signal 9 (out of memory?).",
    -1: "The host was killed by signal 11 (SIGSEGV).",
    -103: "The host exited with code 1.",
    -110: "The host was killed by signal 9 (out of memory?).",
}
ENDS_NOTHING = (-109, -105, -106, -107, -108)


@pytest.mark.parametrize(
    "reasons", [SOME, pytest.param(OTHERS, marks=pytest.mark.breadth)], ids=["some", "others"]
)
def test_a_model_that_harms_its_process_harms_nobody_else(
    registry: Registry, serve: Serve, reasons: dict[int, str]
) -> None:
    registry.register("", promote=True)
    server = serve("--predict-timeout", "3").wait_until_ready()
    for value in ENDS_NOTHING:
        assert server.predict(value).json() == {"predictions": [1]}
        assert server.predict().json() == {"predictions": [1]}
    assert server.metric("cloche_lost_hosts_total") == 0
    wait_for(lambda: "forked and returned twice" in server.log.read_text())  # the copy says it

    for value, reason in reasons.items():
        lost = server.metric("cloche_lost_hosts_total")
        assert server.predict(value).status_code in (503, 504)
        wait_for(lambda: server.predict().ok)
        assert server.metric("cloche_lost_hosts_total") in (lost + 1, lost + 2)
        wait_for(lambda told=reason: told in server.log.read_text())
    assert "The host ended." not in server.log.read_text()

    assert server.predict(-109).ok  # which holds the output of its host open
    assert server.end(signal.SIGTERM) == 0
    helpers = re.findall(r"Started: (\d+)", server.log.read_text())
    assert len(helpers) == 2
    assert not any(is_running(int(pid)) for pid in helpers)
