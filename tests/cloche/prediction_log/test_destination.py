"""Destinations in a folder."""

from pathlib import Path

import pytest

from cloche.object_stores import StoreUnknown
from cloche.prediction_log.destination import Destination, DestinationFailed, File


def test_a_folder_lists_reads_replaces_and_removes_whole_files(tmp_path: Path) -> None:
    """Paths are relative to the destination, and a missing file is no error."""
    log = Destination.of(str(tmp_path / "log"))
    assert log.files() == []
    assert log.read("a/b.json") is None
    log.put("a/b.json", b"one")
    log.put("a/b.json", b"three")
    log.put("c.parquet", b"x")
    assert log.files() == [File("a/b.json", 5), File("c.parquet", 1)]
    assert log.files("a") == [File("a/b.json", 5)]
    assert log.files(suffix=".parquet") == [File("c.parquet", 1)]
    assert log.read("a/b.json") == b"three"
    log.remove("a/b.json")
    log.remove("a/b.json")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["c.parquet"]


def test_what_a_killed_writer_left_is_not_listed(tmp_path: Path) -> None:
    """A file that was never renamed does not count."""
    (tmp_path / ".c.parquet.0123abcd").write_bytes(b"half")
    assert Destination.of(str(tmp_path)).files() == []


def test_a_destination_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "log").write_text("a file")
    log = Destination.of(str(tmp_path / "log"))
    with pytest.raises(DestinationFailed, match=r"log/a\.json"):
        log.put("a.json", b"")


def test_an_unknown_kind_of_store_is_told() -> None:
    """It is a mistake of whoever typed it, not of the store."""
    with pytest.raises(StoreUnknown, match="nowhere"):
        Destination.of("nowhere://bucket/log")
