"""A format of input is one module, and all else asks its record."""

import ast
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.types import DataType

from cloche.serving import batch
from cloche.serving.batch.input import file_kinds, formats
from cloche.serving.batch.input.formats import catalog
from cloche.serving.batch.input.inputs import Files
from cloche.serving.batch.input.partitions import Partitioner
from cloche.serving.batch.input.readers.reader import ReaderSettings
from cloche.serving.batch.job.part import Part


def test_a_format_needs_a_module_and_a_line_in_the_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A format like CSV, whose rows are read from a folder of its files."""
    made: Any = ModuleType("sheet")
    start = (b"SHEET", "a sheet: score it with --input-format sheet")
    made.FORMAT = replace(
        catalog.input_format("csv"), name="sheet", suffixes=(".sheet",), recognized_by=start
    )
    monkeypatch.setitem(sys.modules, f"{formats.__name__}.sheet", made)
    monkeypatch.setattr(catalog, "INPUT_FORMATS", (*catalog.INPUT_FORMATS, "sheet"))
    (tmp_path / "rows.sheet").write_text("a,b\n1,x\n2,y\n")
    found = Files(str(tmp_path), None)
    assert (found.columns(), found.inferred()) == (
        ["a", "b"], {str(tmp_path / "rows.sheet"): {"a": "int64", "b": "str"}},
    )  # fmt: skip
    (part,) = found.parts(Partitioner(10, tmp_path), frozenset())
    reader = catalog.input_format(part.format).reader(
        ReaderSettings(types={"a": DataType.long}, schema=None)
    )
    assert reader.read(part).inputs["a"].tolist() == [1, 2]
    assert file_kinds.advice_on_content(b"SHEET") == start[1]


def test_a_part_of_parquet_takes_memory_for_its_own_rows(tmp_path: Path) -> None:
    """Row groups of a million rows are usual; a part has a sixteenth of them."""
    rows = 1 << 20
    place = tmp_path / "rows.parquet"
    whole = np.random.default_rng(0).normal(size=rows)
    pq.write_table(pa.table({"n": whole}), place, row_group_size=rows, use_dictionary=False)
    reader = catalog.input_format("parquet").reader(
        ReaderSettings(types={"n": DataType.double}, schema=None)
    )
    before = pa.total_allocated_bytes()
    read = reader.read(Part(0, str(place), "parquet", 0, rows // 16))
    assert read.inputs["n"].tolist() == whole[: rows // 16].tolist()
    assert pa.total_allocated_bytes() - before < whole.nbytes / 2


def test_only_the_module_of_a_format_knows_its_name() -> None:
    (folder,) = batch.__path__
    compared = [
        f"{path.relative_to(folder)}:{node.lineno}"
        for path in Path(folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        and isinstance(node.left, ast.Attribute)
        and node.left.attr == "format"
    ]
    assert compared == []
