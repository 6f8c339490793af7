"""The alias moves, and the server follows without losing a request."""

import os
import shutil

import pytest
import requests

from tests.lifecycle.registry import Registry, Serve
from tests.online import Load, wait_for

pytestmark = pytest.mark.slow

SWAPS = int(os.environ.get("CLOCHE_TEST_SWAPS", "6"))


def says_its_version(response: requests.Response) -> bool:
    """Whether the version in the header is the one that made the prediction."""
    return response.ok and response.json()["predictions"] == [
        int(response.headers["x-model-version"])
    ]


def test_promotions_under_load_lose_nothing(registry: Registry, serve: Serve) -> None:
    registry.register("", "")
    registry.promote("1")
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
    registry.register("", "")
    registry.promote("1")
    server = serve("--replicas", "2").wait_until_ready()
    assert len(server.hosts()) == 2
    seen = []
    with Load(
        server,
        clients=1,
        check=lambda response: seen.append(response.headers["x-model-version"]) or True,
    ) as load:
        registry.promote("2")
        server.wait_for_version("2")
        load.wait_for_more(20)
    assert seen == sorted(seen)
    wait_for(lambda: server.metric("cloche_replicas") == 2)  # those of the old one are gone


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("exits", "exited with code 3"),
        ("segfaults", "killed by signal 11"),
        ("lacks a module", "a_module_that_nobody_has"),
        ("fails its example", "its own input example"),
        ("hangs", "said nothing"),
    ],
)
def test_a_broken_version_never_replaces_a_good_one(
    registry: Registry, serve: Serve, behaviour: str, reason: str
) -> None:
    registry.register("", behaviour, "")
    registry.promote("1")
    server = serve("--load-timeout", "20").wait_until_ready()
    registry.promote("2")
    wait_for(lambda: reason in (server.state()["problem"] or ""))
    assert server.predict().headers["x-model-version"] == "1"
    assert server.metric("cloche_swaps_total", outcome="failed") == 1
    registry.promote("3")
    server.wait_for_version("3")
    assert server.metric("cloche_swaps_total", outcome="failed") == 1  # it was tried once
    assert server.state()["problem"] is None


def test_an_altered_version_is_refused_by_its_digest(registry: Registry, serve: Serve) -> None:
    from cloche.serving.registry.digest import digest_tree

    registry.register("", "")
    for version in ("1", "2"):
        registry.client.set_model_version_tag(
            "m", version, "cloche.digest", digest_tree(registry.artifacts(version))
        )
    registry.promote("1")
    server = serve().wait_until_ready()
    (registry.artifacts("2") / "requirements.txt").write_text("altered")
    registry.promote("2")
    wait_for(lambda: "altered" in (server.state()["problem"] or ""))
    assert server.predict().json() == {"predictions": [1]}


def test_a_version_without_artifacts_is_refused(registry: Registry, serve: Serve) -> None:
    registry.register("", "")
    registry.promote("1")
    server = serve().wait_until_ready()
    shutil.rmtree(registry.artifacts("2"))
    registry.promote("2")
    wait_for(lambda: server.metric("cloche_swaps_total", outcome="failed") == 1)
    assert server.predict().json() == {"predictions": [1]}


def test_a_version_whose_artifacts_are_corrupt_is_refused(registry: Registry, serve: Serve) -> None:
    registry.register("", "")
    registry.promote("1")
    server = serve().wait_until_ready()
    model = registry.artifacts("2") / "python_model.pkl"
    model.write_bytes(model.read_bytes()[:100])
    registry.promote("2")
    wait_for(lambda: "Version 2 cannot serve" in (server.state()["problem"] or ""))
    assert server.predict().json() == {"predictions": [1]}


def test_an_absent_registry_changes_nothing_and_a_restart_serves_from_the_cache(
    registry: Registry, serve: Serve
) -> None:
    registry.register("", "")
    registry.promote("1")
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
    registry.register("")
    registry.register("raises", model="broken")
    registry.promote("1")
    registry.promote("1", model="broken")
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
