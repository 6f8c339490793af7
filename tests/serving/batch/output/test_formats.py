"""A format of outputs is known by its module and a line in the catalog, and nowhere else."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from cloche.serving.batch.output import formats
from cloche.serving.batch.output.formats import catalog
from cloche.serving.batch.output.formats.format import ColumnarOutput, TextOutput
from tests.serving.batch.conftest import table


def read(place: Path) -> pa.Table:
    with pa.ipc.open_file(place) as file:
        return file.read_all()


TEXT = TextOutput(
    name="made", suffixes=(".made",),
    serialize_header=lambda names: f"{len(names)} columns\n".encode(),
    serialize_rows=lambda rows: b"row\n" * rows.num_rows,
)  # fmt: skip
COLUMNAR = ColumnarOutput(
    name="made", suffixes=(".made",), open_writer=pa.ipc.new_file,
    read_schema=lambda place: read(place).schema, read=read,
)  # fmt: skip


def lines(place: Path) -> tuple[int, int]:
    """The number of columns and rows in a file of text."""
    head, *rows = place.read_bytes().splitlines()
    return int(head.split()[0]), len(rows)


@pytest.mark.parametrize(
    ("made", "shape"), [(TEXT, lines), (COLUMNAR, lambda place: read(place).shape[::-1])],
    ids=["text", "columnar"],
)  # fmt: skip
def test_a_format_needs_a_module_and_a_line_in_the_catalog(
    made: Any, shape: Any, score: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = ModuleType("made")
    module.FORMAT = made
    monkeypatch.setitem(sys.modules, f"{formats.__name__}.made", module)
    monkeypatch.setattr(catalog, "OUTPUT_FORMATS", (*catalog.OUTPUT_FORMATS, "made"))
    table(25).to_parquet("rows.parquet")
    score("rows.parquet", "file.made", id_columns=("id",))
    assert shape(Path("file.made")) == (3, 25)
    score("rows.parquet", "folder.made/", id_columns=("id",))
    parts = sorted(Path("folder.made").glob("part-*.made"))
    assert [shape(part) for part in parts] == [(3, 10), (3, 10), (3, 5)]
