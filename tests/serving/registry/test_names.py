"""A registered model is found, listed and fetched by its name, whatever that is, in every store."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient

from cloche.registry.version_listing import versions_of
from cloche.serving.registry import uri
from cloche.serving.registry.cache import Cache
from cloche.serving.registry.fetch import fetch
from cloche.serving.registry.resolver import Resolver
from cloche.training.gate.fetched_version import fetch as fetch_candidate
from cloche.training.promotion.registry import find_model, find_version
from tests.names import FEW, ODD
from tests.online import tracking_server
from tests.shelf import copy_empty_store
from tests.stores import stores

NAMES = st.text(st.characters(exclude_characters="/:", exclude_categories=["Cs"]), min_size=1)


@given(NAMES.filter(uri.is_valid_name), st.sampled_from(["production", "a-b_1"]))
def test_a_name_comes_out_of_a_uri_as_it_went_in(name: str, alias: str) -> None:
    assert uri.parse(f"models:/{name}@{alias}") == uri.with_alias(name, alias)
    for tail, value in (("/7", "7"), ("/Staging", "Staging"), ("/latest", "")):
        parsed = uri.parse(f"models:/{name}{tail}")
        assert (parsed.model, parsed.name, parsed.value) == (name, name, value)
    assert uri.parse(f"{name}=models:/m/7").name == name, "it can be served under any name"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    copy_empty_store(path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`mlflow server` before the database."""
    with tracking_server(database, tmp_path_factory.mktemp("server")) as url:
        yield url


def register(client: MlflowClient, name: str, folder: Path) -> None:
    for number in "12":
        source = folder / number
        source.mkdir(parents=True)
        (source / "MLmodel").write_text(
            json.dumps({"artifact_path": [number, name]}, ensure_ascii=False)
        )
        client.create_model_version(name, source=source.as_uri())


@pytest.mark.parametrize(
    "kind",
    [
        "database",
        pytest.param("database of all names", marks=pytest.mark.breadth),
        pytest.param("files", marks=pytest.mark.breadth),
        pytest.param("server", marks=[pytest.mark.breadth, pytest.mark.slow]),
    ],
)
def test_every_name_stands_for_itself(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    where = tmp_path.as_uri() if kind == "files" else request.getfixturevalue("database")
    names = FEW if kind in ("database", "server") else ODD
    names = [name for name in names if "%" not in name or kind != "files"]  # which takes none
    there = MlflowClient(where, where)
    taken = {model.name for model in there.search_registered_models(max_results=1000)}
    for at, name in enumerate(names):
        if name not in taken:
            there.create_registered_model(name)
            register(there, name, tmp_path / "files" / str(at))
            there.set_registered_model_alias(name, "production", "1")
    with stores(request.getfixturevalue("server") if kind == "server" else where):
        client = MlflowClient()
        resolver, cache = Resolver(lambda: client), Cache(tmp_path / "cache", "r")
        assert set(names) <= set(resolver.versions_with_alias("production"))
        fetched = set()
        for at, name in enumerate(names):
            assert [str(one.version) for one in versions_of(client, name)] == ["2", "1"], name
            assert versions_of(client, name, most=1)[0].name == name
            assert resolver.resolve(uri.parse(f"models:/{name}/latest")).version == "2"
            target = resolver.resolve(uri.with_alias(name, "production"))
            assert (target.model, target.version) == (name, "1")
            place = fetch(target, cache)
            fetched.add(place)
            assert json.loads((place / "MLmodel").read_text())["artifact_path"] == ["1", name]
            folder = tmp_path / "judged" / str(at)
            folder.mkdir(parents=True)
            assert find_model(client, name).production == "1"
            judged = fetch_candidate(find_version(client, name, "2"), folder)
            assert judged.model.artifact_path == ["2", name]
        assert len(fetched) == len(names)
