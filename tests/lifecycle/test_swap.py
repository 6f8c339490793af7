"""The alias moves, and the server follows without losing a request."""

import json
import os
import shutil
import threading
from typing import Any

import pytest
import requests

from tests.broken_servers import answering
from tests.lifecycle.registry import Registry, Serve
from tests.online import Load, children, wait_for

pytestmark = pytest.mark.slow

SWAPS = int(os.environ.get("CLOCHE_TEST_SWAPS", "6"))


def says_its_version(response: requests.Response) -> bool:
    """Whether the version in the header is the one that made the prediction."""
    return response.ok and response.json()["predictions"] == [
        int(response.headers["x-model-version"])
    ]


def test_promotions_under_load_lose_nothing(registry: Registry, serve: Serve) -> None:
    registry.register("", "", promote=True)
    server = serve("--replicas", "1").wait_until_ready()
    with Load(server, check=says_its_version) as load:
        for number in range(SWAPS):
            version = str(2 - number % 2)
            registry.promote(version)
            server.wait_for_version(version)
            load.wait_for_more(50)
    assert not load.failures
    assert server.metric("cloche_swaps_total", outcome="done") == SWAPS + 1
    wait_for(lambda: len(server.hosts()) == 1)


def test_all_replicas_change_as_one_generation(registry: Registry, serve: Serve) -> None:
    registry.register("", "", promote=True)
    server = serve("--replicas", "2").wait_until_ready()
    assert len(server.hosts()) == 2
    seen = []

    def note(response: requests.Response) -> bool:
        seen.append(response.headers["x-model-version"])
        return True

    with Load(server, clients=1, check=note) as load:
        registry.promote("2")
        server.wait_for_version("2")
        load.wait_for_more(20)
    assert seen == sorted(seen)
    wait_for(lambda: server.metric("cloche_replicas") == 2)  # those of the old one are gone


BROKEN = {
    "exits": "exited with code 3. Its last line: The licence is missing.",
    "segfaults": "killed by signal 11",
    "lacks a module": "a_module_that_nobody_has",
    "fails its example": "its own input example",
    "hangs": "said nothing",
}


def test_a_broken_version_never_replaces_a_good_one(registry: Registry, serve: Serve) -> None:
    registry.register("", *BROKEN, "", promote=True)
    server = serve("--load-timeout", "10").wait_until_ready()
    for failed, reason in enumerate(BROKEN.values(), 1):
        registry.promote(str(1 + failed))
        wait_for(lambda reason=reason: reason in (server.state()["problem"] or ""))
        assert server.predict().headers["x-model-version"] == "1"
        assert server.metric("cloche_swaps_total", outcome="failed") == failed
    assert server.get("/metrics").text.count("cloche_replicas{") == 1  # that of the good one
    good = str(len(BROKEN) + 2)
    registry.promote(good)
    server.wait_for_version(good)
    assert server.metric("cloche_swaps_total", outcome="failed") == failed  # each was tried once
    assert server.state()["problem"] is None


def test_a_version_that_hangs_while_it_loads_holds_up_nothing(
    registry: Registry, serve: Serve
) -> None:
    registry.register("", "hangs", "", promote=True)
    server = serve().wait_until_ready()
    registry.promote("2")
    state = wait_for(lambda: (found := server.state())["loading"] and found)
    assert state["loading"]["version"] == "2"
    assert state["loading"]["since"]
    assert state["problem"].startswith("Version 2 is being loaded, since ")
    wait_for(lambda: len(server.hosts()) == 2)
    registry.promote("3")
    server.wait_for_version("3")
    assert server.metric("cloche_swaps_total", outcome="given up") == 1
    wait_for(lambda: len(server.hosts()) == 1)
    assert server.state()["problem"] is None


def test_a_download_without_end_is_given_up_when_the_alias_leaves_it(
    registry: Registry, serve: Serve
) -> None:
    asked, left = threading.Event(), threading.Event()

    def endless(handler: Any, _: bytes) -> None:
        """Lists one file, which has no end."""
        if "?" in handler.path:
            listing = {"files": [{"path": "MLmodel", "is_dir": False, "file_size": 1}]}
            handler.reply(200, json.dumps(listing).encode(), "application/json")
            return
        handler.send_response(200)
        handler.send_header("content-length", "1000000000")
        handler.end_headers()
        asked.set()
        handler.connection.recv(1)
        left.set()

    registry.register("", promote=True)
    with answering(endless) as store:
        address = f"{store}/api/2.0/mlflow-artifacts/artifacts/v"
        registry.client.create_model_version("m", address)
        registry.register("")
        server = serve().wait_until_ready()
        registry.promote("2")
        wait_for(asked.is_set)
        registry.promote("3")
        server.wait_for_version("3")
        wait_for(left.is_set)
        wait_for(lambda: len(children(server.process.pid, "cloche-registry")) == 1)


def test_a_version_whose_files_are_not_those_that_were_logged_is_refused(
    registry: Registry, serve: Serve
) -> None:
    from cloche.registry.version_digest import digest_tree

    registry.register(*[""] * 4)
    digest = digest_tree(registry.artifacts("2"))
    registry.client.set_model_version_tag("m", "2", "cloche.digest", digest)
    (registry.artifacts("2") / "requirements.txt").write_text("altered")
    corrupt = registry.artifacts("3") / "python_model.pkl"
    corrupt.write_bytes(corrupt.read_bytes()[:100])
    shutil.rmtree(registry.artifacts("4"))
    registry.promote("1")
    server = serve().wait_until_ready()
    reasons = {"2": "altered", "3": "Version 3 cannot serve", "4": "artifacts cannot be fetched"}
    for version, reason in reasons.items():
        registry.promote(version)
        wait_for(lambda reason=reason: reason in (server.state()["problem"] or ""))
        assert server.predict().json() == {"predictions": [1]}
    assert server.metric("cloche_swaps_total", outcome="failed") == 2  # the last may come yet


def test_an_absent_registry_changes_nothing_and_a_restart_serves_from_the_cache(
    registry: Registry, serve: Serve
) -> None:
    registry.register("", "", promote=True)
    first = serve().wait_until_ready()
    shutil.move(registry.directory / "artifacts", registry.directory / "gone")
    contents = registry.database.read_bytes()
    registry.database.write_bytes(b"no database, for open connections too")
    wait_for(lambda: first.metric("cloche_registry_age_seconds", model="m") > 1)
    assert first.predict().json() == {"predictions": [1]}
    assert first.end() == 0
    second = serve().wait_until_ready()
    assert second.predict().json() == {"predictions": [1]}
    registry.database.write_bytes(contents)
    shutil.move(registry.directory / "gone", registry.directory / "artifacts")
    registry.promote("2")
    second.wait_for_version("2")


def test_two_models_of_which_one_is_broken(registry: Registry, serve: Serve) -> None:
    registry.register("", promote=True)
    registry.register("raises", model="broken", promote=True)
    server = serve("--all")
    wait_for(
        lambda: server.version() == "1" and "broken" in (server.state("broken")["problem"] or "")
    )
    assert server.predict(path="/models/m/invocations").json() == {"predictions": [1]}
    assert server.predict(path="/models/broken/invocations").status_code == 503
    assert server.get("/readyz").status_code == 503
    registry.client.delete_registered_model_alias("broken", "production")
    server.wait_until_ready()
    assert server.predict(path="/models/broken/invocations").status_code == 404
    assert server.predict().json() == {"predictions": [1]}  # there is only one now
