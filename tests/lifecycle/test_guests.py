"""What the code of a model does to its process hits that process, and nobody else."""

import signal

import pytest

from tests.lifecycle.registry import Registry, Serve
from tests.online import COMMAND, children, is_running, wait_for

pytestmark = pytest.mark.slow

# value of a row: what the log says of each host that it cost; see `kitchen.DEEDS`
ENDS_ITS_HOST = {
    -101: "The host exited with code 3.",
    -102: "The host was killed by signal 9 (out of memory?).",
    -1: "The host was killed by signal 11 (SIGSEGV).",
    -103: "The host exited with code 1.",
    -104: "The host said nothing for 3 s",
    -110: "The host was killed by signal 9 (out of memory?).",
}
ENDS_NOTHING = (-105, -106, -107, -108, -109)


def test_a_model_that_harms_its_process_harms_nobody_else(registry: Registry, serve: Serve) -> None:
    registry.register("")
    registry.promote("1")
    server = serve("--predict-timeout", "3", program=COMMAND).wait_until_ready()
    for value in ENDS_NOTHING:
        assert server.predict(value).json() == {"predictions": [1]}
        assert server.predict().json() == {"predictions": [1]}
    assert server.metric("cloche_lost_hosts_total") == 0
    assert "forked and returned twice" in server.log.read_text()

    for value, reason in ENDS_ITS_HOST.items():
        lost = server.metric("cloche_lost_hosts_total")
        assert server.predict(value).status_code in (503, 504)
        wait_for(lambda: server.predict().ok)
        assert server.metric("cloche_lost_hosts_total") in (lost + 1, lost + 2)
        wait_for(lambda told=reason: told in server.log.read_text())
    assert "The host ended." not in server.log.read_text()

    assert server.predict(-109).ok  # which holds the output of its host open
    everybody = [
        pid for name in ("cloche-host", "sleep") for pid in children(server.process.pid, name)
    ]
    assert len(everybody) == 2
    assert server.end(signal.SIGTERM) == 0
    assert not any(map(is_running, everybody))
