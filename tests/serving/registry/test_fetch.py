"""What the store gives of a version: all of it, some, nothing, or something else."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from cloche.registry.version_digest import digest_tree
from cloche.serving.errors import RegistryUnreachable, VersionRefused
from cloche.serving.registry import fetch
from cloche.serving.registry.cache import Cache
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.training.errors import RegistryError
from cloche.training.gate import fetched_version
from tests.lifecycle.registry import saved


class Store:
    """Artifacts as an object store has them: what is not there is no error."""

    def __init__(self, files: Path) -> None:
        self.files = files

    def __call__(self, *_: str) -> "Store":
        return self

    def download_artifacts(self, _: str, folder: str) -> str:
        shutil.copytree(self.files, folder, dirs_exist_ok=True)
        return folder


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    files = tmp_path / "files"
    shutil.copytree(saved(1, ""), files)
    store = Store(files)
    for module in (fetch, fetched_version):
        monkeypatch.setattr(module, "files_of", store)
    return store


def all_gone(files: Path) -> None:
    shutil.rmtree(files)
    files.mkdir()


# What happens to the files of a version, what is said, and whether somebody must have noted it.
CHANGES: dict[str, tuple[Callable[[Path], object], str, bool]] = {
    "all are gone": (all_gone, "cannot be fetched: MLmodel is not in the store", False),
    "no description": (
        lambda files: (files / "MLmodel").unlink(),
        "cannot be fetched: MLmodel is not in the store", False),
    "a torn description": (
        lambda files: (files / "MLmodel").write_text("flavors: {"),
        "cannot be fetched: MLmodel is not in the store", True),
    "no model": (
        lambda files: (files / "python_model.pkl").unlink(),
        "cannot be fetched: python_model.pkl is not in the store", True),
    "no environment": (
        lambda files: (files / "conda.yaml").unlink(),
        "cannot be fetched: conda.yaml is not in the store", True),
    "altered": (
        lambda files: (files / "requirements.txt").write_text("altered"),
        "its artifacts were altered", True),
}  # fmt: skip


@pytest.mark.parametrize("promoted", [True, False])
@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_gone_cannot_be_fetched_and_what_is_altered_is_refused(
    store: Store, tmp_path: Path, kind: str, promoted: bool
) -> None:
    change, says, noted = CHANGES[kind]
    digest = digest_tree(store.files) if promoted else ""
    target = ResolvedVersion("1", "models:/m/1", "m/1", "1", digest, model="m")
    cache = Cache(tmp_path / "cache", "r")
    change(store.files)
    if noted and not promoted:
        fetch.fetch(target, cache)  # what nobody wrote down may be so
        return
    refused = VersionRefused if kind == "altered" else RegistryUnreachable
    for _ in range(2):  # and nothing of it is taken for the version later
        with pytest.raises(refused, match=says):
            fetch.fetch(target, cache)
    shutil.rmtree(store.files)
    shutil.copytree(saved(1, ""), store.files)
    assert digest_tree(fetch.fetch(target, cache)) == digest_tree(store.files)


def test_the_gate_says_the_same(store: Store, tmp_path: Path) -> None:
    all_gone(store.files)
    version = type("Version", (), {"name": "m", "version": "1"})()
    with pytest.raises(RegistryError, match="m version 1 cannot be fetched: MLmodel is not in the"):
        fetched_version.fetch(version, tmp_path)


def test_a_cache_without_room_is_told_and_tried_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ResolvedVersion("1", "models:/m/1", "m/1", "1", model="m")
    cache = Cache(tmp_path / "cache", "r")
    with monkeypatch.context() as patched:
        full = OSError(errno.ENOSPC, "No space left on device")
        patched.setattr(store, "download_artifacts", Mock(side_effect=full))
        with pytest.raises(
            RegistryUnreachable, match=r"Make room, or choose another --cache-dir\.$"
        ):
            fetch.fetch(target, cache)
    assert (fetch.fetch(target, Cache(tmp_path / "another", "r")) / "MLmodel").exists()
    assert (fetch.fetch(target, cache) / "MLmodel").exists()
