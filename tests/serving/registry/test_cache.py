import os
from pathlib import Path

import pytest

from cloche.serving.registry.cache import Cache
from cloche.serving.registry.resolved_version import ResolvedVersion


def target(version: str) -> ResolvedVersion:
    return ResolvedVersion(version, f"models:/m/{version}", f"m/{version}", version)


def fill(place: Path) -> None:
    (place / "MLmodel").write_text("x")


def age(place: Path) -> None:
    os.utime(place, (0, 0))


def test_artifacts_are_fetched_once(tmp_path: Path) -> None:
    fetched = []
    for _ in range(2):
        place = Cache(tmp_path, "r").artifacts(target("1"), lambda new: fetched.append(fill(new)))
        assert (place / "MLmodel").read_text() == "x"
    assert len(fetched) == 1


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(place: Path) -> None:
        fill(place)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        Cache(tmp_path, "r").artifacts(target("1"), fail)
    assert not list(tmp_path.rglob("MLmodel"))


def test_what_a_dropped_download_left_is_removed_with_the_next(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "r")
    left = cache.artifacts(target("1"), fill).with_name("other.dropped")

    def slow(place: Path) -> None:
        left.mkdir()
        age(left)
        age(place)
        other = Cache(tmp_path, "r").artifacts(target("3"), fill)
        assert other.is_dir()
        assert place.is_dir()  # somebody is at it
        fill(place)

    assert (cache.artifacts(target("2"), slow) / "MLmodel").is_file()
    assert not left.exists()


def test_the_version_that_served_last_is_remembered_by_its_registry_as_long_as_it_is_there(
    tmp_path: Path,
) -> None:
    cache = Cache(tmp_path, "r")
    assert cache.last_good("uri") is None
    for version in ("1", "2"):
        cache.artifacts(target(version), fill)
        cache.remember("uri", target(version))
    assert Cache(tmp_path, "r").last_good("uri") == target("2")
    assert Cache(tmp_path, "other").last_good("uri") is None
    cache.discard(target("2"))
    assert cache.last_good("uri") is None


def test_what_serves_and_what_served_before_is_kept_and_what_another_server_fetched_now(
    tmp_path: Path,
) -> None:
    cache = Cache(tmp_path, "r")
    fresh = cache.artifacts(target("9"), fill)
    places = []
    for version in "123":
        places.append(cache.artifacts(target(version), fill))
        age(places[-1])
        cache.remember("uri", target(version))
    assert [place.is_dir() for place in (*places, fresh)] == [False, True, True, True]


def test_a_cache_is_closed_to_other_users_and_one_that_was_open_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    directory = tmp_path / "user" / "cloche"
    cache = Cache(directory, "registry")
    artifacts = cache.artifacts(target("1"), fill)
    cache.remember("uri", target("1"))
    (root,) = directory.iterdir()
    assert [folder.stat().st_mode & 0o777 for folder in (directory, root)] == [0o700, 0o700]
    root.chmod(0o755)  # as it was made before
    Cache(directory, "registry").remember("uri", target("1"))
    assert root.stat().st_mode & 0o777 == 0o700
    assert artifacts.is_dir()
    assert tmp_path.stat().st_mode & 0o777 == 0o755, "a folder that was there keeps its mode"
