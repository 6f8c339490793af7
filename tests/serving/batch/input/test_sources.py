"""Compressed inputs: the content of every stream to the last byte, or a refusal."""

import bz2
import gzip
import lzma

import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.serving.batch.input import sources
from cloche.serving.errors import JobFailed, SettingsError
from tests.serving.batch.conftest import table

pytestmark = pytest.mark.xdist_group("batch")

PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}
each_suffix = pytest.mark.parametrize("suffix", PACKERS)
in_one_folder = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
pieces = st.lists(st.binary(max_size=300) | st.just(b"text " * 20_000), min_size=1, max_size=4)


def unpacked(folder, suffix, packed):
    place = folder / f"rows.csv.{suffix}"
    place.write_bytes(packed)
    (file,) = sources.find(str(place))
    content = b""
    with sources.streamed(file) as stream:
        while more := stream.read(50_000):
            content += more
    return content


@each_suffix
@in_one_folder
@given(bodies=pieces, data=st.data())
def test_every_stream_is_read_and_one_that_is_cut_short_or_garbage_behind_them_is_refused(
    suffix, bodies, data, tmp_path
):
    *whole, last = map(PACKERS[suffix], bodies)
    packed = b"".join([*whole, last])
    assert unpacked(tmp_path, suffix, packed) == b"".join(bodies)
    left = data.draw(st.integers(1 if whole else 0, len(last) - 1))
    garbage = data.draw(st.binary(min_size=1, max_size=40).filter(lambda one: one[0] != 0))
    for odd in (b"".join(whole) + last[:left], packed + garbage):
        with pytest.raises(JobFailed, match=r"cannot be read"):
            unpacked(tmp_path, suffix, odd)


@each_suffix
@pytest.mark.parametrize("at", [0, 1])
def test_a_stream_with_a_damaged_head_is_not_the_end_of_the_file(suffix, at, tmp_path):
    first, second = (PACKERS[suffix](text * 500) for text in (b"1\n2\n", b"3\n4\n"))
    damaged = bytearray(second)
    damaged[at] ^= 0xFF
    with pytest.raises(JobFailed, match=r"cannot be read"):
        unpacked(tmp_path, suffix, first + bytes(damaged))


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_zeros_between_and_behind_streams_are_padding(suffix, tmp_path):
    first, second = (PACKERS[suffix](text) for text in (b"1\n", b"2\n"))
    packed = first + bytes(8) + second + bytes(100_000)
    assert unpacked(tmp_path, suffix, packed) == b"1\n2\n"


@each_suffix
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_job_scores_the_rows_of_every_stream_or_none(suffix, form, score, tmp_path):
    rows = table(40)
    text = (
        rows.to_csv(index=False)
        if form == "csv"
        else rows.to_json(orient="records", lines=True, double_precision=15)
    ).encode()
    half = text.index(b"\n", len(text) // 2) + 1
    packed = b"".join(map(PACKERS[suffix], (text[:half], text[half:])))
    place = tmp_path / f"rows.{form}.{suffix}"
    place.write_bytes(packed)
    score(place, tmp_path / "out.parquet", id_columns=("id",))
    assert pd.read_parquet(tmp_path / "out.parquet")["id"].tolist() == rows["id"].tolist()

    place.write_bytes(packed + b"garbage")
    with pytest.raises(JobFailed, match=r"cannot be read"):
        score(place, tmp_path / "again.parquet", id_columns=("id",))
    assert not (tmp_path / "again.parquet").exists()


def test_a_copy_that_fails_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "rows.parquet").write_bytes(b"some rows")
    spool = tmp_path / "spool"
    spool.mkdir()

    def fail(_, copy, __):
        copy.write(b"some")
        raise OSError("No space left on device")

    monkeypatch.setattr(sources.shutil, "copyfileobj", fail)
    with pytest.raises(JobFailed, match=r"cannot be copied .* No space left"):
        sources.fetched(str(tmp_path / "rows.parquet"), spool)
    assert not list(spool.iterdir())


def test_a_file_of_no_known_name_that_cannot_be_read_is_told_like_any_other(tmp_path, monkeypatch):
    (tmp_path / "rows.odd").touch()
    found = pa.fs.FileInfo(str(tmp_path / "closed.odd"), pa.fs.FileType.File)
    monkeypatch.setattr(sources, "_listed", lambda *_: [found])
    with pytest.raises(SettingsError, match=r"closed\.odd\. Known are names that end in"):
        sources.find(str(tmp_path / "rows.odd"))
