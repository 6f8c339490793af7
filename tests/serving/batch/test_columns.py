"""Rows that a twin scores as they are stored give the bytes that they give as frames."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.types import DataType

from cloche.serving.batch.input.partitions import Partitioner
from cloche.serving.batch.input.readers import csv_columns
from cloche.serving.batch.input.readers.csv import CsvReader
from cloche.serving.batch.input.sources import find
from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job, Layout, PinnedVersion
from cloche.serving.batch.output.merge_parts import IncrementalMerge, assemble
from cloche.serving.batch.scoring.predict import PartScorer
from cloche.serving.batch.scoring.worker import Worker
from cloche.serving.host.predictors.twin import ANY
from tests.serving.host.twins import at_the_threshold, fitted, save

pytestmark = pytest.mark.xdist_group("batch")

LOAD = PartScorer.load  # other tests of this folder replace it
Row = tuple[Any, Any, Any]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Worker:
    place = save(fitted(), tmp_path_factory.mktemp("columns") / "model")
    return worker_of(LOAD(place, ANY), place, tmp_path_factory.mktemp("parts"))


def worker_of(
    scorer: PartScorer,
    version: Path,
    place: Path,
    kind: str = "parquet",
    carried: Sequence[str] = ("id",),
) -> Worker:
    pinned = PinnedVersion("m", "m", "1", "", "", "", str(version), str(version), ANY)
    layout = Layout(kind, directory=False, carried=tuple(carried))
    return Worker(Job(pinned, {}, layout, 100), place, scorer)


def outcome(worker: Worker, part: Part) -> tuple[FinishedPart, list[bytes]]:
    finished = worker.finish(part)
    files = [file for file in (finished.data, finished.quarantine) if file is not None]
    content = [(worker.writer._directory / file.name).read_bytes() for file in files]
    return replace(finished, seconds={}), content


def by_frames(worker: Worker, part: Part) -> tuple[FinishedPart, list[bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "_finish_columns", lambda _: None)
        return outcome(worker, part)


def by_columns(worker: Worker, part: Part) -> tuple[FinishedPart, list[bytes]]:
    """The outcome, and no frame of all rows was made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "read", None)
        return outcome(worker, part)


words = st.sampled_from(["red", "green", "blue", "violet", "", "re", "한국어"])
whole_rows = st.tuples(st.floats(-1024, 1024, width=32), st.integers(-5, 120), words)
any_rows = st.tuples(st.floats(width=32) | st.none(), st.integers(-5, 120), words | st.none())
kinds = st.tuples(
    st.sampled_from([pa.float64(), pa.float32()]),
    st.sampled_from([pa.int64(), pa.int32(), pa.int8()]),
    st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]),
)


def parquet(place: Path, rows: Sequence[Row], types: Sequence[pa.DataType], *, coded: bool) -> Part:
    columns = zip(("dose", "age", "word"), zip(*rows, strict=True), types, strict=True)
    table = {name: pa.array(values).cast(kind) for name, values, kind in columns}
    ids = pa.array([f"{at}" for at in range(len(rows))])
    pq.write_table(pa.table({"id": ids, **table}), place, use_dictionary=coded)
    return Part(0, str(place), "parquet", 0, len(rows))


@given(st.lists(whole_rows, min_size=1, max_size=20), kinds, st.booleans())
def test_stored_columns_give_the_bytes_of_a_frame(
    worker: Worker, rows: list[Row], types: tuple[pa.DataType, ...], coded: bool
) -> None:
    rows = [*rows, tuple(at_the_threshold(fitted(), 0.0))]  # a row for the model
    with tempfile.TemporaryDirectory() as place:
        part = parquet(Path(place, "rows.parquet"), rows, types, coded=coded)
        assert by_columns(worker, part) == by_frames(worker, part)


@given(st.lists(any_rows, min_size=1, max_size=20), kinds, st.booleans())
def test_gaps_and_rows_that_the_model_refuses_end_as_in_a_frame(
    worker: Worker, rows: list[Row], types: tuple[pa.DataType, ...], coded: bool
) -> None:
    with tempfile.TemporaryDirectory() as place:
        part = parquet(Path(place, "rows.parquet"), rows, types, coded=coded)
        assert outcome(worker, part) == by_frames(worker, part)


cells = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-10**6, 10**6, places=3).map(str),
    st.integers(-(10**18), 10**18).map(str),
    st.from_regex(r"-?[0-9]{0,18}\.?[0-9]{0,20}", fullmatch=True),
    st.sampled_from(["", "NA", "nan", "-", ".", "5.", "-.5", "1e5", " 7", "+7", "0x1F", "-0"]),
)  # fmt: skip
texts = st.one_of(
    words, st.sampled_from(["NA", "nan", " red", "a\0", "null", "\u2028", '"a"']),
    st.text('"a,\n 1', max_size=6), st.text('"a,\n1', max_size=4).map('"{}"'.format),
)  # fmt: skip


marks = st.sampled_from(["", "1", "\ufeffa", '"\ufeffa"'])  # at the start of a file, no text
notes = st.sampled_from([b"", b"n", b'"n"', b"\xc3\xa9", b"\xff"])


@given(
    st.lists(
        st.tuples(
            marks, cells | cells.map('"{}"'.format), st.integers(-9, 99).map(str) | cells, texts
        ),
        min_size=1,
        max_size=9,
    ),
    notes,
    st.sampled_from([1 << 20, 64, 24]),
)
def test_arrow_reads_csv_as_pandas_does_or_leaves_it(
    rows: list[Row], note: bytes, block: int
) -> None:
    types = {"dose": DataType.double, "age": DataType.long, "word": DataType.string}
    reader = CsvReader(list(types), ["id"], types, verbatim=True)
    lines = b"".join(",".join(row).encode() + b",%b\n" % note for row in rows)
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_columns, "_BLOCK_BYTES", block)
        for part in csv_parts(Path(place), b"id,dose,age,word,note\n" + lines):
            columns, expected = reader.columns(part), reader.read(part)
            if columns is None:
                continue
            assert not expected.refused
            frame = columns.frame(range(columns.inputs.num_rows))
            assert frame is not None
            assert frame.equals(expected.inputs)
            assert columns.carried.equals(expected.carried)


def csv_parts(place: Path, text: bytes, rows: int = 1) -> list[Part]:
    (place / "rows.csv").write_bytes(text)
    return list(Partitioner(rows, place).parts(find(str(place / "rows.csv"), None)))


@pytest.mark.skipif(
    not csv_columns._NEAREST_FLOATS, reason="older pandas rounds numbers in its own way"
)
def test_csv_becomes_columns_without_a_frame(worker: Worker, tmp_path: Path) -> None:
    csv = worker_of(
        worker._scorer, Path(worker.writer._job.model.path), tmp_path, "csv", ("id", "age")
    )
    (part,) = csv_parts(
        tmp_path,
        b'id,dose,age,word\na,0.1234567890123456789,3,"red"\r\n"NA",-2.5,4,NA\n"c,d",1e-05,5,""\n',
        rows=9,
    )
    assert by_columns(csv, part) == by_frames(csv, part)


@pytest.mark.parametrize("odd", [None, 1], ids=["one schema", "another schema"])
def test_an_output_that_was_merged_early_is_the_one_that_is_merged_late(
    worker: Worker, tmp_path: Path, odd: int | None
) -> None:
    place = worker.writer._directory
    parts = []
    for index in range(3):
        table = pa.table({"id": pa.array([index], pa.int32() if index == odd else pa.int64())})
        file = worker.writer._write_data(Part(index, "", "parquet", 0, 1), table)
        parts.append(FinishedPart(index, 1, 0, {}, ["id"], file, None, {}, {}))
    schema = pa.schema([("id", pa.int64())])
    early = IncrementalMerge(worker.writer._job, place, tmp_path / "early")
    for part in (parts[1], parts[0], parts[2]):
        early.take(part)
    assert early.close(schema) is (odd is None)
    if odd is None:
        assemble(worker.writer._job, parts, place, schema, tmp_path / "late")
        assert (tmp_path / "early").read_bytes() == (tmp_path / "late").read_bytes()
