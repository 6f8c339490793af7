"""Finds mistakes in tables in CSV and Parquet."""

import csv
import io
from typing import Any

import pandas as pd
from mlflow.pyfunc.scoring_server import parse_csv_input
from mlflow.types import ColSpec, Schema

from cloche.serving.host.answers.mistake import Mistake, type_name, wrong_cell
from cloche.serving.host.diagnosis import cells
from cloche.serving.host.diagnosis.arrays import shape_name
from cloche.serving.host.diagnosis.column_names import missing_columns
from cloche.serving.host.diagnosis.contents import hinted_mistake
from cloche.serving.host.diagnosis.enforcement import first_refused, refuses_data
from cloche.serving.host.parsing.missing_values import MissingValueGuard
from cloche.serving.host.parsing.older_mlflow import Object

_LINE_ENDS_LOST = (
    "The body is one line, and CSV needs a line for the header and one for each row. `curl -d "
    "@FILE` sends a file without its line ends: type `curl --data-binary @FILE`."
)


def csv_mistake(body: bytes, schema: Schema | None, *, hinted: bool = False) -> Mistake | None:
    """Find the first mistake in a CSV table for a model with these inputs."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return Mistake(
            f"The body is not CSV in UTF-8: byte {error.start} is not UTF-8. `iconv -f NAME -t "
            "utf-8 FILE` converts a file from the encoding NAME, like cp949 (Korean)."
        )
    if mistake := _text_mistake(text, schema):
        return mistake
    try:
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except ValueError:
        return None
    return _hinted_mistake(table, schema) if hinted else _table_mistake(table, schema, _as_csv)


def _text_mistake(text: str, schema: Schema | None) -> Mistake | None:
    """Find mistakes in CSV text that do not depend on the types of the columns."""
    if not text.strip():
        return Mistake("The body is empty: CSV needs a header with the names of the columns.")
    named = schema is not None and schema.has_input_names()
    if named and len(text.splitlines()) == 1 and not text.endswith(("\n", "\r")):
        return Mistake(_LINE_ENDS_LOST)
    if mistake := _lines_mistake(text):
        return mistake
    if schema is not None and schema.is_tensor_spec():
        wanted = ", ".join(map(_kind, schema.inputs))
        return Mistake(
            f"CSV holds no tensors, and the model takes {wanted}: send JSON with inputs."
        )
    return None


def _as_csv(part: pd.DataFrame, schema: Schema) -> Any:
    """Parse a part of a table of strings as MLflow parses it from CSV."""
    names = schema.input_names() if schema.has_input_names() else list(part.columns)
    text = part[[name for name in names if name in part.columns]].to_csv(index=False)
    known: Any = MissingValueGuard(schema).schema_for_csv()
    return parse_csv_input(io.StringIO(text), known)


def parquet_mistake(body: bytes, schema: Schema | None, *, hinted: bool = False) -> Mistake | None:
    """Find the first mistake in a Parquet table for a model with these inputs."""
    try:
        table = pd.read_parquet(io.BytesIO(body))
    except Exception:  # noqa: BLE001  # pyarrow may raise any exception
        return Mistake(
            f"The body is not a Parquet file: {len(body)} bytes of it arrived. `curl --data-binary "
            "@FILE` sends a file as it is."
        )
    if hinted:
        return _hinted_mistake(table, schema)
    return _table_mistake(table, schema, lambda part, _: part)


def _lines_mistake(text: str) -> Mistake | None:
    """Find the first line with more fields than the header or with an unclosed quote."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        width = len(next(reader))
        lines = [(reader.line_num, len(row)) for row in reader if row]
    except (csv.Error, StopIteration):
        return Mistake(f"Line {reader.line_num} of the CSV cannot be read: look at its quotes.")
    if lines and all(found > width for _, found in lines):
        width = lines[0][1]  # pandas reads the first fields as the index
    for line, found in lines:
        if found > width:
            return Mistake(
                f"Line {line} of the CSV has {found} fields, and its header has {width}."
            )
    return None


def _table_mistake(table: pd.DataFrame, schema: Schema | None, read: Any) -> Mistake | None:
    if schema is None:
        return None
    if not schema.has_input_names():
        return _nameless_mistake(table, schema, read)
    if mistake := missing_columns([str(name) for name in table.columns], schema):
        return mistake
    specs = [spec for spec in schema.inputs if spec.name in table.columns]
    at = first_refused(len(specs), lambda some: _refuses(read, table, Schema(specs[some])))
    if at is None:
        return Mistake("The table holds no rows.") if table.empty else None
    return _column_mistake(str(specs[at].name), table[[specs[at].name]], specs[at], read)


def _column_mistake(name: str, column: pd.DataFrame, spec: Any, read: Any) -> Mistake | None:
    """Find the first refused cell of a column, or describe the column if its type is refused."""
    only = Schema([spec])
    row = first_refused(len(column), lambda some: _refuses(read, column[some], only))
    if row is None:
        return None
    kind, dtype = _kind(spec), column.dtypes.iloc[0]
    if dtype.kind in "iufbM" or not isinstance(spec, ColSpec):
        return wrong_cell(name, None, f"expected {kind}, found {dtype}", kind=spec.type)
    place, problem = cells.locate_mistake(column.iloc[row, 0], spec.type, required=spec.required)
    return wrong_cell(name, row, problem, place=place, kind=spec.type)


def _nameless_mistake(table: pd.DataFrame, schema: Schema, read: Any) -> Mistake | None:
    if table.empty:
        return Mistake("The table holds no rows.")
    if schema.is_tensor_spec():
        plain = table.to_numpy()
        spec = schema.inputs[0]
        found = type_name(plain.dtype) if plain.dtype.kind != "O" else "text or several types"
        shape = f"{found} of shape {list(plain.shape)}"
        return Mistake(f"The input: expected {_kind(spec)}, found {shape}.")
    if table.shape[1] < len(schema.inputs):
        return Mistake(f"The model takes {len(schema.inputs)} columns; there are {table.shape[1]}.")
    for at, spec in enumerate(schema.inputs):
        if mistake := _column_mistake(str(at), table.iloc[:, [at]], spec, read):
            return mistake
    return None


def _hinted_mistake(table: pd.DataFrame, schema: Schema | None) -> Mistake | None:
    """Find mistakes in rows for a function with type hints: objects, or cells of one column."""
    if schema is None:
        return None
    if table.empty:
        return Mistake("The table holds no rows.")
    objects = isinstance(schema.inputs[0].type, Object)
    rows = table.to_dict("records") if objects else table.iloc[:, 0].tolist()
    return hinted_mistake(rows, schema, "Row")


def _refuses(read: Any, part: pd.DataFrame, known: Schema) -> bool:
    try:
        data = read(part, known)
    except Exception:  # noqa: BLE001  # MLflow and pandas may raise any exception
        return True
    return refuses_data(data, known)


def _kind(spec: Any) -> str:
    if isinstance(spec, ColSpec):
        return type_name(spec.type)
    return f"{type_name(spec.type)} of shape {shape_name(spec.shape)}"
