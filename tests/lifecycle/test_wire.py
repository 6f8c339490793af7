"""What clients see on the wire.

Headers, routes, limits, keys, packing; and bad input never breaks anything.
"""

import gzip
import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.serving.host.codecs.open_inference.messages import message
from tests.lifecycle.registry import Registry, infer_request
from tests.online import Server, serving, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wire")]
# Python runs this when the server starts, as if it stood in the module.
ONE_MORE_HEADER = """
from cloche.serving.web.answer_headers import ANSWER_HEADERS
ANSWER_HEADERS.append(("x-served-by", "a test"))
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry(tmp_path_factory.mktemp("wire"))
    registry.register("", promote=True)
    return registry


@pytest.fixture(scope="module")
def server(registry: Registry) -> Iterator[Server]:
    (registry.directory / "sitecustomize.py").write_text(ONE_MORE_HEADER)
    with serving(
        "models:/m@production", "--max-body", "100000", "--client-timeout", "2",
        "--allowed-hosts", "models.example.com, *.example.org", "--grpc-port", "0", "--access-log",
        directory=registry.directory,
        environment={"MLFLOW_TRACKING_URI": registry.uri, "PYTHONPATH": str(registry.directory)},
    ) as server:  # fmt: skip
        yield server.wait_until_ready()


def talk(server: Server, *parts: bytes) -> bytes:
    """Send raw bytes; everything that comes back until the server closes."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        for part in parts:
            client.sendall(part)
        received = b""
        while data := client.recv(65536):
            received += data
        return received


def test_a_prediction_names_its_model_version_and_request(server: Server) -> None:
    answer = server.predict(headers={"X-Request-Id": "abc"})
    assert answer.json() == {"predictions": [1]}
    names = ("x-model-name", "x-model-version", "x-request-id")
    assert [answer.headers[name] for name in names] == ["m", "1", "abc"]


def test_a_request_without_an_id_gets_one_of_its_own(server: Server) -> None:
    assert server.predict().headers["x-request-id"] != server.predict().headers["x-request-id"]


@pytest.mark.parametrize(
    "path", ["/invocations", "/models/m/invocations", "/models/m/versions/1/invocations"]
)
def test_a_model_is_found_by_each_of_its_paths(server: Server, path: str) -> None:
    assert server.predict(path=path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/m:predict", "/v1/models/m/versions/1:predict",
        "/v1/models/m/labels/production:predict", "/predictions/m", "/predictions/m/1",
    ],
)  # fmt: skip
def test_a_model_is_found_by_the_paths_of_other_protocols(server: Server, path: str) -> None:
    answer = requests.post(server.url + path, json={"instances": [{"a": 0}]}, timeout=30)
    assert answer.json() in ([1], {"predictions": [1]})
    assert answer.headers["x-model-version"] == "1"


def test_a_label_is_the_alias_that_is_followed_and_no_other(server: Server) -> None:
    labels = f"{server.url}/v1/models/m/labels"
    assert requests.get(f"{labels}/production", timeout=30).json()["name"] == "m"
    other = requests.get(f"{labels}/challenger", timeout=30)
    assert (other.status_code, other.json().keys()) == (404, {"error"})


@pytest.mark.parametrize(
    "path",
    [
        "/models/x/invocations", "/models/m/versions/2/invocations", "/models/m", "/page/",
        "/%ff",
    ],
)  # fmt: skip
def test_what_is_not_there_is_404(server: Server, path: str) -> None:
    assert server.predict(path=path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/ping", "/health", "/version", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs",
        "/", "/status.json",
    ],
)  # fmt: skip
def test_every_page_answers(server: Server, path: str) -> None:
    assert server.get(path).status_code == 200
    assert requests.post(server.url + path, timeout=30).status_code == 405


def test_labels_need_a_log(server: Server) -> None:
    body = {"labels": [{"prediction_id": "a", "label": 1}]}
    answer = requests.post(f"{server.url}/models/m/labels", json=body, timeout=30)
    assert answer.status_code == 404
    assert answer.json()["message"].endswith("it was started without --log.")


def test_openapi_describes_the_columns_and_gives_an_example(server: Server) -> None:
    operation = server.get("/openapi.json").json()["paths"]["/invocations"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    records = next(
        branch["properties"]["dataframe_records"]
        for branch in content["schema"]["oneOf"]
        if branch["required"] == ["dataframe_records"]
    )
    row = records["items"]
    assert row["properties"] == {"a": {"type": "number", "format": "double"}}
    example = requests.post(f"{server.url}/invocations", json=content["example"], timeout=30)
    assert example.json() == {"predictions": [1]}


def test_the_docs_page_fetches_nothing_from_elsewhere(server: Server) -> None:
    page = server.get("/docs").text
    assert "double" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_packed_body_is_unpacked_and_a_large_answer_packed(server: Server) -> None:
    body = json.dumps({"dataframe_records": [{"a": 0}] * 2000}).encode()
    rows = gzip.compress(body[:999]) + gzip.compress(body[999:])
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = requests.post(f"{server.url}/invocations", data=rows, headers=headers, timeout=30)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == {"predictions": [1] * 2000}


def test_rows_of_every_gzip_member_are_answered_and_none_is_left_out(server: Server) -> None:
    headers = {"content-type": "text/csv", "content-encoding": "gzip"}
    both = gzip.compress(b"a\n1\n2\n") + gzip.compress(b"3\n4\n")
    url = f"{server.url}/invocations"
    assert len(requests.post(url, both, headers=headers, timeout=30).json()["predictions"]) == 4
    for damaged in (both[:-4], both + b"5\n", both + b"\0", b""):
        assert requests.post(url, damaged, headers=headers, timeout=30).status_code == 400


def test_what_a_header_must_be_is_sent(server: Server) -> None:
    tensor = {"name": "a", "shape": [1], "datatype": "FP64", "data": [0]}
    body, url = json.dumps({"inputs": [tensor]}).encode(), f"{server.url}/v2/models/m/infer"

    def send(body: bytes, **headers: str) -> requests.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(url, body, headers=sent, timeout=30)

    refused = send(body, content_encoding="br")
    (kind,) = re.findall(r"is read is (\w+)\.", refused.text)
    assert send(gzip.compress(body), content_encoding=kind).ok
    refused = send(body, inference_header_content_length="999")
    (header,) = re.findall(r"([\w-]+) must be the length of the JSON", refused.text)
    assert send(body, **{header: str(len(body))}).ok


def test_a_client_that_keeps_its_answered_connection_busy_is_ended(server: Server) -> None:
    answered = talk(
        server, b"GET /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{", b"{"
    )
    assert answered.startswith(b"HTTP/1.1 200 ")


ASKED = b'{"dataframe_records": [{"a": 0}]}'
UPGRADES = {
    "of Java and curl": [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                         b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"],
    "to a WebSocket": [b"Connection: keep-alive, Upgrade", b"Upgrade: websocket"],
    "to what nobody knows": [b"Upgrade: IRC/6.9, RTA/x11", b"connection: upgrade"],
}  # fmt: skip


@pytest.mark.parametrize("wish", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("step", [1, 40, 9999])
def test_an_upgrade_that_is_not_offered_is_ignored(
    server: Server, wish: list[bytes], step: int
) -> None:
    head = [b"POST /invocations HTTP/1.1", b"host: localhost", b"content-type: application/json"]
    asked = b"\r\n".join([*head, *wish, b"content-length: %d" % len(ASKED), b"", ASKED])
    last = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    sent = asked + asked + last
    answered = talk(server, *[sent[at : at + step] for at in range(0, len(sent), step)])
    assert answered.count(b'{"predictions": [1]}') == 2
    assert answered.endswith(b"ok\n")


@pytest.mark.parametrize("method", [b"PRI *", b"BREW /", b"TRACE /livez"])
def test_methods_that_are_not_offered_are_refused(server: Server, method: bytes) -> None:
    answered = talk(server, method + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    assert answered.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 ", b"HTTP/1.1 501 "))


def http(line: str, *headers: str, body: bytes = b"", host: str = "localhost") -> bytes:
    """A request whose body, if it has one, is JSON."""
    lines = [f"{line} HTTP/1.1", f"host: {host}", *headers]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


PREDICT, LAST, BROKEN = "POST /invocations", "connection: close", b"\x00\r\n\r\n"
BOMB = gzip.compress(b" " * 10**7)
WAYS = {
    "past ASGI, then a broken head": ([200, 400], http(PREDICT, body=ASKED) + BROKEN),
    "past ASGI, an error": ([400, 400], http(PREDICT, body=b"{}") + BROKEN),
    "through ASGI": ([200], http(PREDICT, LAST, body=ASKED)),
    "no such version": ([404], http("POST /models/m/versions/2/invocations", LAST, body=ASKED)),
    "V2": ([400], http("POST /v2/models/m/infer", LAST, body=ASKED)),
    "the page": ([200], http("GET /", LAST)),
    "a file of the page": ([200], http("GET /page/serving.js", LAST)),
    "a probe": ([200], http("GET /livez", LAST)),
    "no such path": ([404], http("GET /nowhere", LAST)),
    "no such method": ([405], http("POST /livez", LAST, body=ASKED)),
    "another site": ([403], http(PREDICT, LAST, body=ASKED, host="evil.example")),
    "too large": ([413], http(PREDICT, "content-length: 100001")),
    "a bomb": ([413], http(PREDICT, "content-encoding: gzip", LAST, body=BOMB)),
    "a slow body": ([408], http(PREDICT, "content-length: 9") + b"{"),
    "a slow head": ([408], b"GET /livez HT"),
    "a head too large": ([431], b"GET /livez HTTP/1.1\r\nx: " + b"a" * 70_000),
    "a tunnel": ([501], http("CONNECT localhost:80")),
}


@pytest.mark.parametrize(("statuses", "sent"), WAYS.values(), ids=WAYS)
def test_every_way_to_be_answered_has_its_status_and_the_headers_of_every_answer(
    server: Server, statuses: list[int], sent: bytes
) -> None:
    answered = talk(server, sent)
    assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", answered)] == statuses
    for header in (b"date: ", b"x-served-by: a test\r\n"):
        assert answered.count(b"\r\n" + header) == len(statuses)


def test_every_call_has_the_headers_of_every_answer_as_metadata(server: Server) -> None:
    named = message("ModelInferRequest")(model_name="n").SerializeToString()
    asked = message("ModelInferRequest")(model_name="m").SerializeToString()
    with grpc.insecure_channel(server.grpc_address()) as channel:
        for method, body, code in (
            ("ServerLive", b"", grpc.StatusCode.OK),
            ("ModelInfer", named, grpc.StatusCode.NOT_FOUND),
            ("ModelInfer", asked, grpc.StatusCode.INVALID_ARGUMENT),
        ):
            ask = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
            call = ask.future(body, timeout=60)
            assert call.code() is code
            assert ("x-served-by", "a test") in tuple(call.trailing_metadata())


def test_a_prediction_is_counted_and_logged_whichever_way_it_comes(server: Server) -> None:
    counted = server.metric("cloche_requests_total", version="1", code="200")
    column = {"name": "a", "datatype": "FP64", "shape": [1], "data": [0.0]}
    bodies = {
        "/invocations": ASKED,
        "/v2/models/m/infer": json.dumps({"inputs": [column]}).encode(),
        "/v1/models/m:predict": b'{"instances": [{"a": 0}]}',
        "/predictions/m": b'{"instances": [{"a": 0}]}',
    }
    sent = {}
    for path, body in bodies.items():
        for way in ("accept: */*", LAST):  # past ASGI, and through it
            sent[request_id := f"way-{len(sent)}"] = path
            asked = http(f"POST {path}", f"x-request-id: {request_id}", way, body=body)
            assert talk(server, asked + BROKEN).startswith(b"HTTP/1.1 200 ")
    sent["grpc"] = "/inference.GRPCInferenceService/ModelInfer"
    with grpc.insecure_channel(server.grpc_address()) as channel:
        infer = channel.unary_unary(sent["grpc"])
        infer(infer_request(), metadata=[("x-request-id", "grpc")], timeout=60)

    wait_for(lambda: '"grpc"' in server.log.read_text())
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    logged = {line["request_id"]: line for line in lines if line.get("request_id") in sent}
    assert {name: line["message"] for name, line in logged.items()} == {
        name: f"POST {path} 200" for name, path in sent.items()
    }
    told = {(line["logger"], line["model"], line["version"]) for line in logged.values()}
    assert told == {("cloche.access", "m", "1")}
    assert server.metric("cloche_requests_total", version="1", code="200") == counted + len(sent)


def test_a_name_of_another_site_opens_nothing_but_probes(server: Server) -> None:
    foreign = {"Host": "evil.example:8080"}
    for path in ("/livez", "/readyz", "/ping", "/health", "/v2/health/live", "/v2/health/ready"):
        assert server.get(path, headers=foreign).status_code == 200
    for path in ("/", "/docs", "/openapi.json", "/status.json", "/metrics", "/v2", "/v2/models/m"):
        assert server.get(path, headers=foreign).status_code == 403
    for path in ("/invocations", "/v2/models/m/infer", "/v1/models/m:predict", "/predictions/m"):
        refused = server.predict(path=path, headers=foreign)
        assert refused.status_code == 403
        assert "--allowed-hosts" in refused.text
    for name in ("localhost", "models.example.com:8443", "a.example.org"):
        assert server.predict(headers={"Host": name}).status_code == 200
    assert "--allowed-hosts" in server.log.read_text()


def test_no_protocol_takes_what_a_page_of_another_site_sends_without_asking(server: Server) -> None:
    for path in ("/invocations", "/v2/models/m/infer", "/v1/models/m:predict", "/predictions/m"):
        refused = server.predict(path=path, headers={"content-type": "text/plain"})
        assert refused.status_code == 415, path


def test_metrics_are_openmetrics_when_asked(server: Server) -> None:
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    assert server.get("/metrics", headers=accept).text.endswith("# EOF\n")


def test_the_trace_of_a_request_is_named_in_its_answer(server: Server) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert server.predict(headers={"traceparent": trace}).headers["traceresponse"] == trace
    assert "traceresponse" not in server.predict().headers


raw = st.binary(max_size=200)
names = st.sampled_from([
    "a", "b", "columns", "data", "index", "dataframe_split", "dataframe_records", "instances",
    "inputs", "params", "messages",
])  # fmt: skip
lookalike = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())
kinds = st.sampled_from(
    ["application/json", "text/csv", "application/vnd.apache.parquet", "x", "application/json; a=b"]
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw | lookalike, kinds)
def test_no_body_is_the_servers_mistake(server: Server, body: bytes, kind: str) -> None:
    answer = requests.post(
        f"{server.url}/invocations", data=body, headers={"content-type": kind}, timeout=30
    )
    assert answer.status_code < 500
    assert "Traceback" not in answer.text


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_no_bytes_stop_the_server(server: Server, parts: list[bytes]) -> None:
    talk(server, b"".join(parts) + b"\r\n\r\nGET /livez HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert server.get("/livez").status_code == 200


def test_keys_are_asked_for_everything_but_probes(registry: Registry, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# the old one\nold\nnew\n")
    with serving(
        "models:/m@production", "--api-keys-file", str(keys),
        directory=tmp_path, environment={"MLFLOW_TRACKING_URI": registry.uri},
    ) as server:  # fmt: skip
        server.wait_until_ready()
        assert server.predict().status_code == 401
        assert server.get("/metrics").status_code == 401
        for key in ("old", "new"):
            assert server.predict(headers={"Authorization": f"Bearer {key}"}).status_code == 200


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.breadth)])
def test_tls_is_spoken_when_there_is_a_certificate(
    registry: Registry, tmp_path: Path, workers: str
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
            *("-days", "1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    with serving(
        *("models:/m@production", "--grpc-port", "0", "--workers", workers),
        *("--tls-certificate", str(certificate), "--tls-key", str(key)),
        directory=tmp_path, environment={"MLFLOW_TRACKING_URI": registry.uri},
    ) as server:  # fmt: skip
        trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(server.grpc_address(), trusted) as channel:
            live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
            assert live(b"", timeout=60) == b"\x08\x01"  # field 1, true
        context = ssl.create_default_context(cafile=certificate)
        address = urlsplit(server.url)
        with (
            socket.create_connection((address.hostname, address.port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
