"""A twin beside the model: files first, tags last, and the version's own digest as it was."""

import hashlib
import json
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from cloche.registry.version_digest import digest_tree
from cloche.training.acceleration.original_model import load_original
from cloche.training.acceleration.proof.stored_twin import ProvenTwin
from cloche.training.acceleration.proven_twin import make_proven_twin
from cloche.training.acceleration.store import attach_to_version, withdraw
from cloche.training.gate.fetched_version import fetch
from tests.training.conftest import make_holdout

TAGS = {"cloche.accelerated", "cloche.accelerated_digest"}


@pytest.fixture
def version(client, log_version):
    return client.get_model_version("flight-delay", log_version())


@pytest.fixture
def folder(version, tmp_path) -> Path:
    (tmp_path / "fetched").mkdir()
    return fetch(version, tmp_path / "fetched").folder


@pytest.fixture
def twin(folder, holdout) -> ProvenTwin:
    return make_proven_twin(load_original(folder), holdout[["hour", "wind", "gust"]])


@pytest.fixture
def again(client, version, tmp_path):
    """Fetches the version as it is by now."""

    def fetch_again() -> Path:
        (tmp_path / "again").mkdir()
        entry = client.get_model_version(version.name, version.version)
        return fetch(entry, tmp_path / "again").folder

    return fetch_again


def test_a_version_gets_the_files_and_the_chain_of_digests_and_is_withdrawn_by_its_tags(
    client, version, twin, again
):
    attach_to_version(client, version, twin)

    stored = again() / "onnx"
    text = (stored / "twin.json").read_bytes()
    tags = client.get_model_version(version.name, version.version).tags
    assert tags["cloche.accelerated"] == "onnx"
    assert tags["cloche.accelerated_digest"] == hashlib.sha256(text).hexdigest()
    graph = (stored / "model.onnx").read_bytes()
    assert json.loads(text)["sha256"] == hashlib.sha256(graph).hexdigest()

    withdraw(client, client.get_model_version(version.name, version.version))

    assert not TAGS & client.get_model_version(version.name, version.version).tags.keys()


def test_what_was_judged_keeps_its_digest_and_its_answers(client, version, folder, twin, again):
    rows = make_holdout(5)[["hour", "wind", "gust"]]
    before = digest_tree(folder), mlflow.pyfunc.load_model(str(folder)).predict(rows)

    attach_to_version(client, version, twin)

    now = again()
    assert digest_tree(now) == before[0]
    assert (mlflow.pyfunc.load_model(str(now)).predict(rows) == before[1]).all()


class Recording(MlflowClient):
    """Notes in which order a version's tags are written, and whether the files were there."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def set_model_version_tag(self, name, version=None, key=None, value=None, stage=None):
        place = self.get_model_version_download_uri(name, version).removeprefix("file://")
        there = list(Path(place).glob("onnx/*"))
        self.seen.append(("set" if len(there) == 2 else "too early", key))
        super().set_model_version_tag(name, version, key, value)

    def delete_model_version_tag(self, name, version=None, key=None, stage=None):
        self.seen.append(("delete", key))
        super().delete_model_version_tag(name, version, key)


def test_readers_see_the_tag_only_while_the_files_are_whole(client, version, twin):
    recording = Recording()

    attach_to_version(recording, version, twin)
    attach_to_version(recording, client.get_model_version(version.name, version.version), twin)

    write = [("set", "cloche.accelerated_digest"), ("set", "cloche.accelerated")]
    withdrawn = [("delete", "cloche.accelerated"), ("delete", "cloche.accelerated_digest")]
    assert recording.seen == [*write, *withdrawn, *write]
