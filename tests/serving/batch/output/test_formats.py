"""A format of outputs is known by its module and a line in the catalog, and nowhere else."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from cloche.serving.batch.output import formats, layout
from cloche.serving.batch.output.formats import catalog
from cloche.serving.batch.output.formats.format import ColumnarFormat, TextFormat


def _arrow(place: Path) -> pa.Table:
    with pa.ipc.open_file(place) as reader:
        return reader.read_all()


def _schema(place: Path) -> pa.Schema:
    with pa.ipc.open_file(place) as reader:
        return reader.schema


LINES = TextFormat(
    name="made", suffixes=(".made",), header=lambda names: f"# {names}\n".encode(),
    rows=lambda table: b"".join(b"%r\n" % row for row in table.to_pylist()),
)  # fmt: skip
TABLES = ColumnarFormat(
    name="made", suffixes=(".made",), writer=pa.ipc.new_file, schema=_schema, read=_arrow
)
