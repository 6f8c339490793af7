"""Hosts die, hang and crash; clients leave and flood. Nobody else notices."""

import os
import re
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests import advice
from tests.lifecycle.make_models import CLEAR, CRASH, HANG, PATCH, REFUSE
from tests.lifecycle.registry import Registry, Serve
from tests.online import COMMAND, Load, Server, children, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def server(registry: Registry, serve: Serve) -> Server:
    registry.register("", promote=True)
    return serve("--predict-timeout", "3", "--request-timeout", "40").wait_until_ready()


def test_a_killed_host_costs_no_request(server: Server) -> None:
    with Load(server) as load:
        for _ in range(3):
            load.wait_for_more(50)
            (host,) = wait_for(server.hosts)
            os.kill(host, signal.SIGKILL)
            wait_for(lambda gone=host: server.hosts() not in ([gone], []))
        load.wait_for_more(50)
    assert not load.failures
    assert server.metric("cloche_lost_hosts_total") == 3


@pytest.mark.skipif(sys.platform != "linux", reason="there is no fork server elsewhere")
def test_a_killed_fork_server_costs_no_request(server: Server) -> None:
    with Load(server) as load:
        load.wait_for_more(50)
        (host,) = server.hosts()
        (forks,) = children(server.process.pid, "cloche-forks")
        os.kill(forks, signal.SIGKILL)
        wait_for(lambda: server.hosts() not in ([host], []))
        load.wait_for_more(50)
    assert not load.failures


def test_a_row_that_crashes_the_host_fails_alone(server: Server) -> None:
    with Load(server) as load:
        load.wait_for_more(20)
        assert server.predict(CRASH).status_code == 503
        load.wait_for_more(20)
    assert not load.failures
    wait_for(lambda: server.log.read_text().count("This row crashes.") == 2)


def test_a_model_with_effects_is_not_asked_again_when_its_host_was_lost(
    server: Server, registry: Registry
) -> None:
    registry.client.set_model_version_tag("m", "1", "cloche.retry", "off")
    wait_for(lambda: server.predict(CRASH).status_code == 500)  # the tag was seen
    wait_for(lambda: server.predict().ok)
    asked = server.log.read_text().count("This row crashes.")
    answer = server.predict(CRASH)
    assert (answer.status_code, answer.headers.get("retry-after")) == (500, None)
    assert "cloche.retry" in answer.text
    assert server.predict().ok
    wait_for(lambda: server.log.read_text().count("This row crashes.") > asked)
    assert server.log.read_text().count("This row crashes.") == asked + 1


def test_a_hanging_host_is_replaced_and_the_row_is_not_asked_again(server: Server) -> None:
    answers = []
    stuck = threading.Thread(target=lambda: answers.append(server.predict(HANG)))

    def in_time(response: requests.Response) -> bool:
        """Answered, unless it was in one batch with the row that hangs."""
        return response.ok or "--predict-timeout" in response.text

    with Load(server, check=in_time) as load:
        load.wait_for_more(20)
        stuck.start()
        stuck.join()
        load.wait_for_more(20)
    assert answers[0].status_code == 504
    assert "within 3 s (--predict-timeout)" in answers[0].text
    assert not load.failures
    log = server.log.read_text()
    assert log.count("This row hangs.") == 1
    assert "said nothing for 3 s (--predict-timeout" in log


def test_a_poisoned_row_spoils_nobody_elses_request(server: Server) -> None:
    with Load(server) as load:
        for _ in range(20):
            refused = server.predict(REFUSE)
            assert refused.status_code == 400
            assert "not this row" not in refused.text
    assert not load.failures
    assert server.metric("cloche_lost_hosts_total") == 0  # it answers its own example


def test_a_host_that_is_broken_inside_is_replaced(server: Server) -> None:
    for lost, broken in enumerate((PATCH, CLEAR), 1):
        server.predict(broken)
        wait_for(lambda: server.predict().ok, 30)
        assert server.metric("cloche_lost_hosts_total") == lost
    assert "something in it is broken" in server.log.read_text()


def test_a_client_that_leaves_within_its_body_reaches_no_host(server: Server) -> None:
    rows = server.metric("cloche_rows_total")
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(
            b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b'content-length: 100\r\n\r\n{"dataframe_records": [{"a": 1}]}'
        )
    wait_for(lambda: server.metric("cloche_abandoned_requests_total") == 1)
    assert server.metric("cloche_rows_total") == rows


def test_a_client_that_leaves_the_queue_is_not_scored(registry: Registry, serve: Serve) -> None:
    registry.register("is slow", promote=True)
    server = serve().wait_until_ready()
    address = urlsplit(server.url)
    body = b'{"dataframe_records": [{"a": 1}]}'
    request = (
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
    first = threading.Thread(target=server.predict)
    rows = server.metric("cloche_rows_total")
    first.start()
    wait_for(lambda: server.metric("cloche_requests_in_progress") == 1)
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(request)
        wait_for(lambda: server.metric("cloche_requests_in_progress") == 2)
    first.join()
    wait_for(lambda: server.metric("cloche_abandoned_requests_total") == 1)
    assert server.metric("cloche_rows_total") == rows + 1


def test_a_full_queue_is_answered_at_once(registry: Registry, serve: Serve) -> None:
    registry.register("is slow", promote=True)
    server = serve("--max-queue", "2", "--max-batch-rows", "1").wait_until_ready()
    with Load(server, clients=8, check=lambda r: r.status_code in (200, 429)) as load:
        load.wait_for_more(30)
    assert not load.failures
    assert server.metric("cloche_rejected_requests_total") > 0


def test_a_model_may_take_as_long_as_its_request_and_is_asked_once(
    registry: Registry, serve: Serve
) -> None:
    registry.register("", promote=True)
    server = serve(MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT="2").wait_until_ready()
    answer = server.predict(HANG)
    assert answer.status_code == 504
    assert "within 2 s (--request-timeout)" in answer.text
    assert server.predict().ok
    assert server.log.read_text().count("This row hangs.") == 1


def test_a_host_that_leaks_is_renewed_without_losing_a_request(
    registry: Registry, serve: Serve
) -> None:
    registry.register("leaks", promote=True)
    server = serve("--max-host-memory", "600", program=COMMAND).wait_until_ready()
    hosts = server.hosts()
    with Load(server) as load:
        wait_for(lambda: server.metric("cloche_renewed_hosts_total") >= 1)
        load.wait_for_more(50)
    assert not load.failures
    assert server.metric("cloche_lost_hosts_total") == 0
    wait_for(lambda: len(server.hosts()) == 1)
    assert server.hosts() != hosts


@pytest.mark.breadth
def test_a_limit_that_a_fresh_host_exceeds_renews_nothing(registry: Registry, serve: Serve) -> None:
    registry.register("", promote=True)
    server = serve("--max-host-memory", "10", program=COMMAND).wait_until_ready()
    found = r"(--max-host-memory \d+)"
    wait_for(lambda: re.search(found, server.log.read_text()))
    assert server.predict().ok
    assert server.metric("cloche_renewed_hosts_total") == 0
    option = advice.words_of(found, server.log.read_text())
    server.end()
    roomy = serve(*option, program=COMMAND).wait_until_ready()
    (host,) = roomy.hosts()
    resident = int(Path(f"/proc/{host}/statm").read_text().split()[1]) * resource.getpagesize()
    assert resident < int(option[1]) << 20
    assert "hosts are not renewed" not in roomy.log.read_text()
