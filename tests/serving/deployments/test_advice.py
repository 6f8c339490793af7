"""What deployments advise is typed into MLflow's command, and the deployment is there."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from mlflow.deployments import get_deploy_client
from mlflow.deployments.cli import commands
from mlflow.exceptions import MlflowException

from cloche.serving.deployments import command
from tests import advice
from tests.broken_servers import answering, bad_gateway
from tests.lifecycle.registry import Registry
from tests.shell import free_port
from tests.stores import stores

KEY = "a key"
SPACED = "late flights"
LATE = False  # whether servers have not followed yet


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Two versions of two models; the gate lets each pass."""
    registry = Registry(tmp_path)
    for model in ("m", SPACED):
        registry.register(model=model)  # none of the versions is loaded
        for _ in range(2):
            registry.client.create_model_version(model, "file:///nowhere")
    monkeypatch.setattr(
        command, "promote", lambda name, version, _: registry.promote(version, name)
    )
    with stores(registry.uri):
        yield registry


@pytest.fixture
def serve(registry: Registry) -> Iterator[Callable[..., str]]:
    """(follows, **URIs by name) → the address of a server that follows aliases of the registry."""
    with ExitStack() as running:

        def start(follows: str | None = "production", **named: str) -> str:
            def answer(handler: Any, _: bytes) -> None:
                status, document = 200, {"follows": follows, "models": models(follows, named)}
                if handler.command == "POST":
                    status, document = 200, {"predictions": [1]}
                    if handler.headers.get("Authorization") != f"Bearer {KEY}":
                        said = {"error_code": "UNAUTHENTICATED", "message": "Send an API key."}
                        status, document = 401, said
                handler.reply(status, json.dumps(document).encode(), "application/json")

            return f"cloche:/{running.enter_context(answering(answer))}"

        def models(follows: str | None, named: dict[str, str]) -> dict[str, Any]:
            found = {}
            for name in {"m", SPACED} if follows else named:
                uri = named.get(name, f"models:/{name}@{follows}")
                aliases = registry.client.get_registered_model(name).aliases
                version = str(aliases.get(uri.rpartition("@")[2]))
                if (version != "None" and not LATE) or name in named:
                    found[name] = {"uri": uri, "version": version, "ready": True, "problem": None}
            return found

        yield start


def run(*words: str) -> str:
    """What MLflow's command prints, or why it fails."""
    done = CliRunner().invoke(commands, words)
    assert done.exception is None or isinstance(done.exception, MlflowException), done.output
    return str(done.exception or done.output)


@pytest.mark.parametrize("model", ["m", SPACED])
def test_a_deployment_is_made_and_moved_by_the_commands_that_are_advised(model, serve, registry):
    target = ("-t", serve())
    create = advice.words_of(
        r"`mlflow deployments (create .*)`", run("get", "--name", model, *target)
    )
    create = [word.replace("/N", "/1") for word in create]
    assert "is created" in run(*create)
    update = advice.words_of(r"`mlflow deployments (update .*)`", run(*create))
    assert "is updated" in run(*(word.replace("/N", "/2") for word in update))
    assert registry.client.get_model_version_by_alias(model, "production").version == 2
    version = advice.words_of(
        r"Say which version: (-m .*?)\. ", run("update", "--name", model, *target)
    )
    again = (word.replace("/N", "/1") for word in version)
    assert "is updated" in run("update", "--name", model, *target, *again)


# What is typed for a deployment of version 1 beside the rest, the server, and what is typed then.
REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str, Callable[..., dict[str, Any]]]] = {
    "no server": (
        {"target": "cloche:/http://127.0.0.1:{port}"}, {}, r"(-C wait=0)",
        lambda given, words, _: {**given, words[0]: words[1]},
    ),
    "no server, and another": (
        {"target": "cloche:/http://127.0.0.1:{port}"}, {},
        r"name another as -t (cloche:/http://HOST:PORT)",
        lambda given, words, right: {**given, "target": right(words[0])},
    ),
    "another alias": (
        {"-C": "alias=staging"}, {}, r"or only move the alias: (-C wait=0)",
        lambda given, words, _: {**given, "-C ": words[1]},
    ),
    "a server that follows no alias": (
        {}, {"m": "models:/m/1"}, r"or only move the alias: (-C wait=0)",
        lambda given, words, _: {**given, words[0]: words[1]},
    ),
    "a server that follows no alias, and one that does": (
        {}, {"m": "models:/m/1"}, r"Start it with --all or with (models:/m@production)",
        lambda given, words, right: {**given, "target": right("", m=words[0])},
    ),
    "another model": (
        {"--name": "flights"}, {}, r"under that name: (--name .*)",
        lambda given, words, _: {**given, words[0]: words[1]},
    ),
    "a flavor": (
        {"--flavor": "sklearn"}, {}, r"leave the (flavor) out",
        lambda given, words, _: {k: v for k, v in given.items() if k != f"--{words[0]}"},
    ),
    "an endpoint": (
        {"--endpoint": "e"}, {}, r"leave (--endpoint) out",
        lambda given, words, _: {k: v for k, v in given.items() if k != words[0]},
    ),
    "no version": (
        {"-m": "models:/m"}, {}, r"say which version: .*, .* or (models:/m/)7",
        lambda given, words, _: {**given, "-m": f"{words[0]}1"},
    ),
    "no truth": (
        {"-C": "force=perhaps"}, {}, r"is neither (true) nor false. Write one",
        lambda given, words, _: {**given, "-C": f"force={words[0]}"},
    ),
    "no time": (
        {"-C": "wait=long"}, {}, r"Give one like (\d+)",
        lambda given, words, _: {**given, "-C": f"wait={words[0]}"},
    ),
    "a slip in an option": (
        {"-C": "waits=0"}, {}, r"the target cloche takes alias, (wait),",
        lambda given, words, _: {**given, "-C": f"{words[0]}=0"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_is_advised_lets_a_deployment_be_made(mistake, serve, registry):
    change, named, pattern, mend = REFUSED[mistake]
    target = serve(None if named else "production", **named)
    given = {"target": target, "--name": "m", "-m": "models:/m/1", **change}
    given["target"] = given["target"].format(port=free_port())

    def create(options: dict[str, Any]) -> str:
        words = [word for pair in options.items() for word in pair]
        return run("create", *("-t" if word == "target" else word.strip() for word in words))

    def right(_: str, **others: str) -> str:
        return serve(None, **others) if others else target

    said = create(given)
    assert "is created" not in said
    assert "production" not in registry.client.get_registered_model("m").aliases
    assert "is created" in create(mend(given, advice.words_of(pattern, said), right)), said


@pytest.mark.parametrize("model", ["m", SPACED])
def test_a_slow_server_is_looked_at_again(model, serve, registry, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "LATE", True)
    create = ["create", "-t", serve(), "--name", model, "-m", f"models:/{model}/1"]
    look = advice.words_of(
        r"look again with `mlflow deployments (.*)`, or", run(*create, "-C", "wait=0.1")
    )
    assert "serving: None" in run(*look)
    monkeypatch.setattr(sys.modules[__name__], "LATE", False)
    assert "serving: 1" in run(*look)


def test_a_key_that_is_asked_for_is_exported(serve, registry, monkeypatch, tmp_path):
    registry.promote("1")
    target = serve()
    rows = tmp_path / "rows.json"
    rows.write_text('[{"a": 1}]')
    said = run("predict", "-t", target, "--name", "m", "-I", str(rows))
    (exported,) = advice.words_of(r"export (\w+)=KEY", said)
    monkeypatch.setenv(exported, KEY)
    assert "[1]" in "".join(run("predict", "-t", target, "--name", "m", "-I", str(rows)).split())
    client = get_deploy_client(target)
    with pytest.raises(MlflowException) as refused:
        client.predict(inputs={"inputs": [1]})
    (argument,) = advice.words_of(r"give (\w+)=NAME", refused.value)
    assert client.predict(**{argument: "m", "inputs": {"inputs": [1]}})["predictions"] == [1]


@pytest.mark.parametrize("way", ["another is named", "it is started"])
def test_a_proxy_whose_server_is_away_is_left_or_its_server_is_started(
    way, serve, registry, tmp_path, monkeypatch
):
    monkeypatch.setenv("CLOCHE_API_KEY", KEY)
    registry.promote("1")
    rows = tmp_path / "rows.json"
    rows.write_text('[{"a": 1}]')
    behind: list[str] = []

    def proxy(handler: Any, body: bytes) -> None:
        handler.version_string = lambda: "nginx"
        if not behind:
            bad_gateway(handler, body)
            return
        url = f"{behind[0].removeprefix('cloche:/')}{handler.path}"
        answer = requests.post(url, body, headers=dict(handler.headers), timeout=10)
        handler.reply(answer.status_code, answer.content, "application/json")

    with answering(proxy) as url:
        ask = ["predict", "--name", "m", "-I", str(rows), "-t"]
        target = f"cloche:/{url}"
        said = run(*ask, target)
        assert re.search(r"answered 502, .*: it is nginx\.", said)
        if way == "another is named":
            option, named = advice.words_of(r"Name one as (-t cloche:/http://HOST:PORT),", said)
            assert (option, named) == (ask[-1], "cloche:/http://HOST:PORT")
            target = serve()
        else:
            _, *typed = advice.words_of(r"behind it with `(.*)`\.", said)
            assert typed == ["serve", "--all"]  # which a stand-in of this test does
            behind.append(serve())
        assert "[1]" in "".join(run(*ask, target).split())
