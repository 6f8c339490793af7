"""What is advised about the options of `cloche serve` is given to it, and it would start."""

import asyncio
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from cloche.serving.cli.container import container
from cloche.serving.cli.serve import serve, settings_of
from cloche.serving.clouds.discovery import find
from cloche.serving.errors import SettingsError
from cloche.serving.grpc.server import _running_threads
from cloche.serving.host.answers.error_answers import UnsupportedMediaType
from cloche.serving.host.parsing import content_types
from cloche.serving.observability.tracing import from_environment
from cloche.serving.server.preflight import check
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import allowed_hosts
from cloche.serving.web.asgi import HttpError, read_body
from cloche.serving.web.authentication import Authentication
from cloche.serving.web.cross_origin import check as check_origin
from cloche.serving.web.sockets import authority, listen
from tests import advice
from tests.broken_servers import answering

MODEL = "models:/m@production"
LOCAL = ["--port", "0", "--cache-dir", "cache", MODEL]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("korean").write_bytes("열쇠".encode("cp949"))


def would_start(words: list[str]) -> Settings:
    """All that `cloche serve` looks at before it starts anything."""
    given = serve.make_context("serve", list(words)).params
    given.pop("log_format")
    settings = settings_of(**given)
    check(settings)
    listen(settings.host, settings.port).close()
    return settings


def refused(words: list[str]) -> str:
    with pytest.raises(SettingsError) as caught:
        would_start(words)
    return str(caught.value)


# What is given, what is said, and what is given then.
OPTIONS: dict[str, tuple[list[str], str, Callable[[list[str], list[str]], list[str]]]] = {
    "no model": (LOCAL[:-1], r"name a model, like (\S+),", lambda g, said: [*g, *said]),
    "no model, and all": (LOCAL[:-1], r"or use (--all)\.", lambda g, said: [*g, *said]),
    "a model beside all": (
        [*LOCAL, "--all"], r"leave out the model URIs .*, or (--all)\.",
        lambda g, said: [one for one in g if one not in said],
    ),
    "a stage beside two models": (
        [*LOCAL, "models:/n@production", "--before", "models:/s@production"],
        r"(--before) names the stage .*: name it by the tag", lambda g, said: g[: g.index(*said)],
    ),
    "two of one name": (
        [*LOCAL, "models:/late flights@canary", "models:/late flights/2"],
        r"a name of its own: (.*)",
        lambda g, said: [*g[:-2], g[-1], said[0]],
    ),
    "a long prediction": (
        [*LOCAL, "--predict-timeout", "99"], r"longer than (--request-timeout) .*Raise that one",
        lambda g, said: [*g, *said, "100"],
    ),
    "a long prediction, as long by default": (
        [*LOCAL, "--predict-timeout", "99"], r"or leave out (--predict-timeout):",
        lambda g, said: g[: g.index(*said)],
    ),
    "a cache that is a file": (
        [*LOCAL, "--cache-dir", "file/x"], r"(--cache-dir) file/x: .* Choose another",
        lambda g, said: [*g, *said, "another"],
    ),
    "a foreign address": (
        [*LOCAL, "--host", "203.0.113.1"], r"Choose another (--host: 127.0.0.1) for",
        lambda g, said: [*g, *" ".join(said).split(": ")],
    ),
    "a foreign address, and everybody's": (
        [*LOCAL, "--host", "203.0.113.1"], r"this machine alone, (0.0.0.0) for everybody",
        lambda g, said: [*g, "--host", *said],
    ),
    "a name of no variable": (
        [*LOCAL, "--host-env", "MY APP"], r"and a \*: (--host-env \w+, --host-env '\w+\*')",
        lambda g, said: [*g[:-2], *(word.strip(",") for word in said)],
    ),
    "a variable of the server": (
        [*LOCAL, "--host-env", "CLOCHE_API_KEYS"], r"of its own, like (\w+)\.",
        lambda g, said: [*g[:-1], *said],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", OPTIONS)
def test_what_is_advised_about_the_options_lets_a_server_start(mistake):
    given, pattern, mend = OPTIONS[mistake]
    said = refused(given)
    would_start(mend(given, advice.words_of(pattern, said)))


@pytest.mark.parametrize(
    ("option", "host", "url"),
    [("--port", "127.0.0.1", "http://127.0.0.1:"), ("--grpc-port", "::1", "http://[::1]:")],
)
def test_a_port_that_is_taken_is_given_up_for_another(option, host, url):
    with listen(host, 0) as taken, pytest.raises(SettingsError) as refusal:
        listen(host, port := taken.getsockname()[1], option)
    assert f"http://{authority(host, port)}" == f"{url}{port}"
    assert f" {authority(host, port)}: " in str(refusal.value)
    (advised,) = advice.words_of(r"something else does\. Choose another (--\S+)\.", refusal.value)
    assert advised == option
    would_start([*LOCAL, option, "0"])


def test_a_port_that_needs_rights_is_given_up_for_another(monkeypatch):
    with monkeypatch.context() as refusing:
        refusing.setattr(socket, "create_server", Mock(side_effect=PermissionError))
        said = refused([*LOCAL, "--port", "80"])
    would_start(
        [*LOCAL, *advice.words_of(r"this user lacks\. Choose another (--\S+)\.$", said), "0"]
    )


@pytest.mark.parametrize("given", ["--tls-certificate", "--tls-key"])
def test_the_other_half_of_tls_is_given(given, pem):
    files = {"--tls-certificate": str(pem / "certificate"), "--tls-key": str(pem / "key")}
    said = refused([*LOCAL, given, files[given]])
    both = advice.words_of(r"TLS needs both (.*)\.", said.replace(" and", ""))
    would_start([*LOCAL, *(word for option in both for word in (option, files[option]))])


def test_a_passphrase_is_taken_away_as_it_is_advised(pem):
    tls = [*LOCAL, "--tls-certificate", str(pem / "certificate"), "--tls-key"]
    typed = advice.words_of(r"Give one without: (.*)$", refused([*tls, str(pem / "encrypted")]))
    assert typed[-1] == "FILE"
    typed += ["-passin", "pass:secret"]  # what a person types when it asks
    subprocess.run(typed, check=True, capture_output=True)
    would_start([*tls, "FILE"])


@pytest.mark.parametrize("file", ["korean", "file"])
def test_keys_are_written_as_they_are_asked_for(file):
    said = refused([*LOCAL, "--api-keys-file", file])
    assert re.search(r"Write one( API key)? per line\.$", said)
    Path(file).write_text("one key\nanother\n")
    settings = would_start([*LOCAL, "--api-keys-file", file])
    Authentication(settings.api_keys).check([(b"authorization", b"Bearer another")])


def test_an_environment_manager_is_installed_by_its_name(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with monkeypatch.context() as absent:
        absent.setattr("importlib.util.find_spec", lambda _: None)
        said = refused([*LOCAL, "--env-manager", "uv"])
    (package,) = advice.words_of(r"pip install (\w+)$", said)
    assert would_start([*LOCAL, "--env-manager", package]).env_manager == "uv"


COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_spans_are_sent_by_the_protocol_and_to_the_port_that_are_named(monkeypatch):
    got = []

    def collect(handler: Any, body: bytes) -> None:
        got.append((handler.path, handler.headers["content-type"]))
        handler.reply(200, b"", "application/x-protobuf")

    given = COLLECTOR | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(SettingsError, match="Set it to that, and the port in") as caught:
        from_environment(given)
    said = str(caught.value)
    variable, protocol = re.search(r"(\w+)=.*spans are sent as (\S+) only", said).groups()
    endpoint = advice.text_of(r"and the port in (\w+) to the collector's for HTTP", said)

    async def trace(url: str) -> None:
        for name, value in (given | {variable: protocol, endpoint: url}).items():
            monkeypatch.setenv(name, value)
        tracing = from_environment()
        assert tracing is not None
        scope = {"method": "GET", "path": "/", "scheme": "http", "http_version": "1.1",
                 "headers": []}  # fmt: skip
        tracing.record(scope, 200, 0.0, None, model="m", route="/")
        await tracing.close()

    with answering(collect) as url:
        asyncio.run(trace(url))
    assert got == [("/v1/traces", "application/x-protobuf")]


def test_spans_are_switched_off_as_it_is_advised(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"cloche\[otel\]") as caught:
        from_environment(COLLECTOR)
    (switch,) = advice.words_of(r"or set (\S+)\.$", caught.value)
    assert from_environment(COLLECTOR | dict([switch.split("=")])) is None


def test_the_threads_of_grpc_start_under_the_limit_that_is_named(monkeypatch):
    allowed, start = [1], threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if not allowed[0]:
            raise RuntimeError("can't start new thread")
        allowed[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(SettingsError, match=r"raise its limit .ulimit -u") as caught:
        _running_threads(3, "calls")
    allowed[0] = needed = int(advice.text_of(r"--grpc-port needs (\d+) threads", caught.value))
    _running_threads(needed, "calls").shutdown()


@pytest.mark.parametrize(
    ("name", "value", "pattern", "beside"),
    [
        ("SAGEMAKER_BIND_TO_PORT", "http", "it must be a whole number", {}),
        ("AIP_HTTP_PORT", "-1", "it must be a whole number", {}),
        ("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "many", "it must be a whole number", {}),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "6MB", "it must be a whole", {"SAGEMAKER_BATCH": "true"}),
        ("SAGEMAKER_BATCH_STRATEGY", "ALL", r"it must be (\w+) or (\w+)\.", {}),
    ],
)
def test_what_a_variable_of_a_cloud_must_be_is_taken(name, value, pattern, beside):
    with pytest.raises(SettingsError) as caught:
        find(beside | {name: value})
    found = re.search(f"{name}={value}: {pattern}", str(caught.value))
    assert found is not None, caught.value
    for mended in found.groups() or ("8080",):
        assert find(beside | {name: mended})


@pytest.mark.parametrize("way", ["Upload the model", "name one"])
def test_a_container_without_a_model_is_given_one(way, monkeypatch):
    monkeypatch.setenv("AIP_HTTP_PORT", "8080")
    with pytest.raises(SettingsError) as caught:
        container.main(["serve"], standalone_mode=False)
    said = str(caught.value)
    typed = ["serve"]
    if way == "name one":
        typed = advice.words_of(r"or name one: cloche container (.*)$", said)
    else:
        (variable,) = advice.words_of(
            r"(\w+) names no model\. Upload the model with its artifact URI", said
        )
        monkeypatch.setenv(variable, "gs://bucket/model")
    assert len(container.make_context("container", typed).params["models"]) == 1


def test_a_name_that_is_refused_is_allowed_or_a_key_is_set():
    header = [(b"host", b"models.example.com")]

    def ask(*options: str) -> None:
        allowed_hosts(would_start([*LOCAL, *options])).check(header)

    with pytest.raises(HttpError) as refusal:
        ask()
    option, _ = advice.words_of(r"start it with (--allowed-hosts NAME)\.", refusal.value)
    ask(option, "models.example.com")
    Path("file").write_text("a key")
    ask("--api-keys-file", "file")


def test_a_body_that_is_too_large_is_sent_in_parts_or_allowed():
    body = b"x" * 100

    def send(part: bytes, *options: str) -> bytes:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": part}

        limit = would_start([*LOCAL, "--max-body", "64", *options]).max_body
        return asyncio.run(read_body(receive, limit, 1))

    with pytest.raises(HttpError, match="Send fewer rows at a time") as refusal:
        send(body)
    assert send(body[:50])
    (option,) = advice.words_of(r"with a larger (--\S+)\.", refusal.value)
    assert send(body, option, "128") == body


def test_the_key_that_is_asked_for_opens():
    access = Authentication(["KEY"])
    with pytest.raises(HttpError) as refusal:
        access.check([])
    name, value = re.search(r"Send an API key: (\S+): (.*)\.$", str(refusal.value)).groups()
    access.check([(name.lower().encode(), value.encode())])


def test_the_content_types_that_are_asked_for_are_taken():
    with pytest.raises(HttpError) as refusal:
        check_origin("text/plain", [])
    (kind,) = advice.words_of(r"Send this content type: (\S+)\.$", refusal.value)
    check_origin(kind, [(b"origin", b"https://elsewhere.example")])
    with pytest.raises(UnsupportedMediaType) as unsupported:
        content_types.check("text/plain")
    kinds = advice.words_of(r"Send one of these content types: (.*)\.$", unsupported.value)
    assert [content_types.check(one.strip(",")) for one in kinds] == [
        one.strip(",") for one in kinds
    ]


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [("; header=present", r"^(charset) is the only"), ("; charset=cp949", "(UTF-8)")],
)
def test_a_parameter_of_a_content_type_is_what_it_must_be(kind, pattern):
    with pytest.raises(UnsupportedMediaType, match=pattern) as refusal:
        content_types.check(f"text/csv{kind}")
    said = advice.text_of(pattern, refusal.value)
    mended = {"charset": "; charset=utf-8"}.get(said, f"; charset={said}")
    assert content_types.check(f"text/csv{mended}") == "text/csv"
