"""Several workers on one port are one server: versions, limits, metrics, and what happens to it."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
import requests
from mlflow.webhooks.delivery import _generate_hmac_signature

from tests.lifecycle.make_models import HANG
from tests.lifecycle.registry import Registry, Serve, infer_request
from tests.lifecycle.test_grpc import INFER
from tests.online import COMMAND, Load, Server, children, is_running, wait_for
from tests.serving.grpc.test_server import OWN

pytestmark = pytest.mark.slow

SWAPS = int(os.environ.get("CLOCHE_TEST_SWAPS", "6"))


def fronts(server: Server) -> list[int]:
    return children(server.process.pid, "cloche-front")


@dataclass
class Watchers(Load):
    """Clients with many connections, which compare what they get with what others got before."""

    newest: int = 0  # of all answers

    def _ask(self) -> None:
        with ExitStack() as stack:
            connections = [self._by_http(stack) for _ in range(8)]
            connections += [self._by_grpc(stack) for _ in range(4)]
            while True:
                for version_of_an_answer in connections:
                    if self._stop.wait(0.01):
                        return
                    at_least = self.newest
                    try:
                        version = version_of_an_answer()
                    except (requests.RequestException, grpc.RpcError, LookupError) as error:
                        self.failures.append(repr(error))
                        continue
                    if version < at_least:
                        self.failures.append(f"{version} after {at_least}")
                    self.newest = max(self.newest, version)
                    self.outcomes[str(version)] += 1

    def _by_http(self, stack: ExitStack) -> Callable[[], int]:
        session, url = stack.enter_context(requests.Session()), self.server.url + self.path
        return lambda: session.post(url, json=self.body, timeout=60).json()["predictions"][0]

    def _by_grpc(self, stack: ExitStack) -> Callable[[], int]:
        channel = stack.enter_context(grpc.insecure_channel(self.server.grpc_address(), OWN))
        infer = channel.unary_unary(INFER)

        def version() -> int:
            _, call = infer.with_call(infer_request(), timeout=60)
            return int(dict(call.trailing_metadata())["x-model-version"])

        return version


def test_nobody_sees_an_older_version_after_a_newer_one_on_any_connection(
    registry: Registry, serve: Serve
) -> None:
    registry.register(*[""] * (SWAPS + 1), promote=True)
    server = serve("--workers", "2", "--grpc-port", "0", program=COMMAND).wait_until_ready()
    assert len(fronts(server)) == 2
    with Watchers(server, clients=4) as watchers:
        for number in range(2, SWAPS + 2):
            registry.promote(str(number))
            server.wait_for_version(str(number))
            watchers.wait_for_more(50)
    assert watchers.failures == []
    assert watchers.newest == SWAPS + 1
    assert server.metric("cloche_swaps_total", outcome="done") == SWAPS + 1
    wait_for(lambda: len(server.hosts()) == 2)  # one for each worker
    wait_for(lambda: server.metric("cloche_replicas") == 2)
    assert len(children(server.process.pid, "cloche-forks")) == 1
    assert len(children(server.process.pid, "cloche-registry")) == 1


def test_a_worker_that_is_killed_or_hangs_costs_what_it_was_answering_and_comes_back(
    registry: Registry, serve: Serve
) -> None:
    registry.register("", "", "", promote=True)
    server = serve("--workers", "2", program=COMMAND).wait_until_ready()
    killed, other = fronts(server)
    with Load(server, clients=8) as load:
        load.wait_for_more(100)
        counted = server.metric("cloche_requests_total")
        os.kill(killed, signal.SIGKILL)
        load.wait_for_more(100)
        assert other in fronts(server)
        wait_for(lambda: server.metric("cloche_replicas") == 2)
        back = set(fronts(server))
        assert len(back) == 2
        assert killed not in back
        lost = len(load.failures)
        load.wait_for_more(100)
        assert server.metric("cloche_requests_total") >= counted
        registry.promote("2")
        server.wait_for_version("2")
        load.wait_for_more(100)
    assert len(load.failures) == lost <= load.clients
    assert all("Connection" in failure for failure in load.failures)
    wait_for(lambda: len(server.hosts()) == 2)
    assert server.get("/readyz").json()["ready"]
    hangs, other = fronts(server)
    os.kill(hangs, signal.SIGSTOP)
    registry.promote("3")
    wait_for(lambda: not is_running(hangs))
    server.wait_for_version("3")
    assert "it has not answered its parent for 10 s" in server.log.read_text()
    wait_for(lambda: server.metric("cloche_replicas") == 2)
    assert hangs not in fronts(server)
    assert other in fronts(server)


def test_the_end_of_all_workers_answers_what_runs(registry: Registry, serve: Serve) -> None:
    registry.register("is slow", promote=True)
    server = serve("--workers", "2", program=COMMAND).wait_until_ready()
    processes = [*fronts(server), *server.hosts()]
    answers: list[int] = []
    clients = [
        threading.Thread(target=lambda: answers.append(server.predict().status_code))
        for _ in range(6)
    ]
    for client in clients:
        client.start()
    wait_for(lambda: server.metric("cloche_requests_in_progress") == 6)
    assert server.end() == 0
    for client in clients:
        client.join()
    assert answers == [200] * 6
    assert not any(map(is_running, processes))


def test_metrics_and_pages_speak_for_all_workers(registry: Registry, serve: Serve) -> None:
    registry.register("", "", "", promote=True)
    server = serve(
        "--workers", "2", "--poll-interval", "60", CLOCHE_WEBHOOK_SECRET="s"
    ).wait_until_ready()
    for _ in range(32):  # each on a connection of its own
        assert server.predict().ok
    wait_for(
        lambda: server.metric("cloche_requests_total", code="200") == 32
    )  # of a busy worker, what it said last
    assert server.metric("cloche_request_duration_seconds_count") == 32
    status = server.get("/status.json").json()["model"]
    assert status["replicas"] == 2
    assert [one["count"] for one in status["counted"]["requests"]] == [32]
    wait_for(lambda: server.get("/status.json").json()["model"]["history"])
    registry.promote("2")
    server.process.send_signal(signal.SIGHUP)  # reaches what looks at the registry
    server.wait_for_version("2")
    registry.promote("3")
    now = str(int(datetime.now(UTC).timestamp()))
    signed = {"X-MLflow-Delivery-Id": "d", "X-MLflow-Timestamp": now,
              "X-MLflow-Signature": _generate_hmac_signature("s", "d", now, "{}")}  # fmt: skip
    hook = f"{server.url}/webhooks/registry"  # reaches one worker
    assert requests.post(hook, "{}", headers=signed, timeout=30).status_code == 202
    server.wait_for_version("3")
    assert {server.predict().json()["predictions"][0] for _ in range(16)} == {3}


def test_no_more_requests_wait_at_all_workers_than_the_server_may_have(
    registry: Registry, serve: Serve
) -> None:
    registry.register("", promote=True)
    limits = ("--max-queue", "2", "--max-batch-rows", "1", "--request-timeout", "5")
    server = serve("--workers", "2", *limits).wait_until_ready()
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: server.predict(HANG), range(20)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {429, 504}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(answer.headers["connection"] == "close" for answer in refused)  # for another try
    assert statuses[504] <= 4  # one at each of two hosts, and two that wait


def test_a_version_that_cannot_be_loaded_is_served_by_no_worker_and_other_models_are_by_all(
    registry: Registry, serve: Serve
) -> None:
    registry.register("", "exits", promote=True)
    server = serve("--all", "--workers", "2").wait_until_ready()
    registry.promote("2")
    wait_for(lambda: "exited with code 3" in (server.state()["problem"] or ""))
    assert {server.predict().json()["predictions"][0] for _ in range(16)} == {1}
    assert server.metric("cloche_swaps_total", outcome="failed") == 1

    def statuses() -> set[int]:
        return {server.predict(path="/models/n/invocations").status_code for _ in range(16)}

    registry.register("", model="n", promote=True)
    server.wait_for_version("1", "n")
    assert statuses() == {200}
    registry.client.delete_registered_model("n")
    wait_for(lambda: statuses() == {404})


def test_workers_share_the_port_for_grpc_and_are_ready_together(
    registry: Registry, serve: Serve
) -> None:
    registry.register("", promote=True)
    server = serve("--workers", "2", "--grpc-port", "0", program=COMMAND).wait_until_ready()
    checks = set()
    (forks,) = children(server.process.pid, "cloche-forks")
    os.kill(forks, signal.SIGSTOP)  # so that a host which is lost is not replaced
    os.kill(server.hosts()[0], signal.SIGKILL)
    wait_for(lambda: server.metric("cloche_replicas") == 1)
    for _ in range(16):
        with grpc.insecure_channel(server.grpc_address(), options=OWN) as channel:
            checks.add(channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=60))
    assert checks == {b"\x08\x01"}  # SERVING, as /readyz says
    assert server.get("/readyz").status_code == 200
    os.kill(forks, signal.SIGCONT)
    for _ in range(16):
        with grpc.insecure_channel(server.grpc_address(), options=OWN) as channel:
            assert channel.unary_unary(INFER)(infer_request(), timeout=60)
    wait_for(lambda: server.metric("cloche_requests_total") == 16)


@pytest.mark.breadth
def test_a_fork_server_that_is_killed_costs_only_what_its_hosts_answered(
    registry: Registry, serve: Serve
) -> None:
    registry.register("", promote=True)
    server = serve("--workers", "2", program=COMMAND).wait_until_ready()
    (forks,) = children(server.process.pid, "cloche-forks")
    hosts = set(server.hosts())
    with Load(server, clients=4) as load:
        os.kill(forks, signal.SIGKILL)
        wait_for(lambda: len(set(server.hosts()) - hosts) == 2)
        load.wait_for_more(50)
    assert not load.failures


def test_a_second_server_cannot_take_the_port(
    registry: Registry, serve: Serve, tmp_path: Path
) -> None:
    registry.register("", promote=True)
    server = serve("--workers", "2").wait_until_ready()
    port = server.url.rpartition(":")[2]
    with pytest.raises(AssertionError, match="something else does"):
        serve("--workers", "2", "--port", port)
