"""No job writes over what it reads, whatever either is called."""

import io
import os
import sqlite3
from pathlib import Path

import pytest

from cloche.serving.batch import overlap_checks, stream_job
from cloche.serving.batch.input import inputs
from cloche.serving.batch.job.options import JobOptions
from cloche.serving.batch.output.layout import describe
from cloche.serving.errors import SettingsError
from tests.serving.batch.conftest import HereEngine, table

pytestmark = pytest.mark.xdist_group("batch")


@pytest.fixture
def days(tmp_path, monkeypatch):
    """`days/1.csv`, and other ways to it; the working directory is the folder above."""
    folder = tmp_path / "work" / "days"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder.parent)
    table(20).to_csv(folder / "1.csv", index=False)
    Path("link.csv").symlink_to("days/1.csv")
    Path("linked").symlink_to("days")
    os.link("days/1.csv", "hard.csv")
    (folder / "new").mkdir()
    Path("beside").mkdir()
    return folder


SAME = [
    ("days/1.csv", "days/1.csv"), ("days/1.csv", "{days}/1.csv"),
    ("{days}/1.csv", "days/../days/1.csv"), ("days/1.csv", "file://{days}/1.csv"),
    ("file://{days}/1.csv", "days/1.csv"), ("days/1.csv", "link.csv"), ("link.csv", "days/1.csv"),
    ("days/1.csv", "hard.csv"), ("days/1.csv", "linked/1.csv"), ("days/1.csv", "days/1.csv/"),
    ("days/*.csv", "days/1.csv"), ("days", "days/1.csv"), ("days/1.csv", "days"),
    ("days/1.csv", "days/"), ("days", "days"), ("days/", "linked/"), ("days", "."),
    ("days/*.csv", "."), ("days", ".."), ("days", "days/new/"), ("days", "days/new.parquet"),
    ("days", "linked/new"), ("days/*.csv", "days/new.csv"), ("days/*.csv", "linked/new.csv"),
    ("day?/**", "days/new/out.parquet"),
]  # fmt: skip


def test_an_output_that_meets_the_input_is_refused_and_nothing_changes(days, score):
    def files():
        found = {path: path.stat() for path in days.parent.rglob("*")}
        return {path: (one.st_ino, one.st_mtime_ns, one.st_size) for path, one in found.items()}

    before = files()
    for source, place in SAME:
        with pytest.raises(SettingsError, match=r"[Ww]rite elsewhere"):
            score(source.format(days=days), place.format(days=days), overwrite=True)
        assert files() == before, (source, place)


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("days/1.csv", "days/2.csv"), ("days/1.csv", "days/new/"),
        ("days/*.csv", "days/out.parquet"), ("days", "beside/days.csv"),
        ("link.csv", "beside/link.csv"),
    ],
)  # fmt: skip
def test_an_output_beside_the_input_is_written(source, place, days, score):
    assert score(source, place).manifest["scored"] == 20


@pytest.mark.parametrize(
    "what", ["report.html", "report.json", "manifest.json", "quarantine.jsonl"]
)
def test_what_goes_with_an_output_may_not_be_the_input(what, days, score):
    source = Path(f"out.csv.{what}")
    source.write_bytes((days / "1.csv").read_bytes())
    (days / "out.csv.more.jsonl").touch()
    with pytest.raises(SettingsError, match="Write elsewhere"):
        score(inputs.Files(str(source), "csv"), "out.csv")
    with pytest.raises(SettingsError, match="Write elsewhere"):
        score(inputs.Files(str(days / "*.jsonl"), "jsonl"), "days/out.csv")


@pytest.mark.parametrize("place", ["{made_models}", "{made_models}/plain", "{work}", "{cache}/"])
def test_an_output_does_not_take_the_place_of_what_the_job_needs(
    place, days, made_models, score, tmp_path
):
    (tmp_path / "cache").mkdir()
    table(5).to_csv(tmp_path / "rows.csv", index=False)
    where = place.format(made_models=made_models, work=Path.cwd(), cache=tmp_path / "cache")
    with pytest.raises(SettingsError, match="lies in it"):
        score(tmp_path / "rows.csv", where, overwrite=True)


MEET = [
    ("s3://days/a/1.csv", "s3://days/a/1.csv"), ("s3://days/a/1.csv", "s3a://days/a/1.csv/"),
    ("s3://key:secret@days/a/1.csv", "s3://days//a/1.csv"), ("s3://days/a/1.csv", "s3://days/a/"),
    ("s3://days/a/", "s3://days/a/new.csv"), ("s3://days/a%201.csv", "s3://days/a 1.csv"),
    ("s3://days/a/*.csv", "s3://days/a/new.csv?region=eu-west-1"),
    ("gs://days/1.csv", "gcs://days/1.csv"),
    ("az://days/1.csv", "abfss://days@us.dfs.core.windows.net/1.csv"),
]  # fmt: skip
DIFFER = [
    ("s3://days/a/1.csv", "gs://days/a/1.csv"), ("s3://days/a/1.csv", "s3://days/A/1.csv"),
    ("s3://days/a/1.csv", "s3://days/a/1.csv.out"), ("s3://days/a/1.csv", "s3://other/a/1.csv"),
    ("s3://days/a/*.csv", "s3://days/a/new.parquet"),
]  # fmt: skip


def test_objects_of_a_store_are_compared_by_store_bucket_and_key():
    for source, place in DIFFER:
        overlap_checks.refuse(place, [place], [source])
    for source, place in MEET:
        with pytest.raises(SettingsError, match=r"[Ww]rite elsewhere"):
            overlap_checks.refuse(place, [place], [source])


def test_a_database_in_a_file_is_not_written_over(tmp_path, score):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        table(5).to_sql("rows", connection, index=False)
    query = inputs.Query(f"sqlite:///{tmp_path / 'shop.db'}", "SELECT * FROM rows", 10)
    with pytest.raises(SettingsError, match=r"shop\.db"):
        score(query, tmp_path / "shop.db", overwrite=True)
    connection.close()


def test_streams_of_a_shell_that_are_one_file_are_refused(tmp_path, made_models, score):
    path = tmp_path / "rows.csv"
    table(5).to_csv(path, index=False)
    with path.open("rb") as stream, pytest.raises(SettingsError, match="Write elsewhere"):
        score(inputs.Stream(stream, "csv"), path, overwrite=True)
    request = JobOptions(model=str(made_models / "plain"), cache=tmp_path / "cache")
    with path.open("rb") as stream, path.open("ab") as sink:
        for given in (inputs.Files(str(path), None), inputs.Stream(stream, "csv")):
            with pytest.raises(SettingsError, match="standard output"):
                stream_job.score(
                    request, given, describe("-", None), engine=HereEngine(), sink=sink,
                    refused=lambda _: None, say=lambda _: None, on_progress=lambda **_: None,
                )  # fmt: skip
    with open(os.devnull, "r+b") as nothing:  # noqa: PTH123  # read and written by everybody
        assert not inputs.Stream(nothing, "csv").reads()
    assert not inputs.Stream(io.BytesIO(), "csv").reads()
