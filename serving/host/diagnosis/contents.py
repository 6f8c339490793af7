"""Finds mistakes in the rows of a body with a valid layout, for each kind of signature."""

from typing import Any

from mlflow.types import Schema

from cloche.serving.host.answers.mistake import (
    Mistake,
    describe_kind,
    quote_columns,
    type_name,
    wrong_cell,
)
from cloche.serving.host.diagnosis import cells
from cloche.serving.host.diagnosis.arrays import shape_name, shape_of, tensor_mistake
from cloche.serving.host.diagnosis.column_names import missing_columns
from cloche.serving.host.diagnosis.enforcement import (
    first_refused,
    refuses_element,
    refuses_payload,
)
from cloche.serving.host.diagnosis.layouts import Content
from cloche.serving.host.parsing.older_mlflow import Array, Map, Object


def uneven_lists(content: Content) -> Mistake | None:
    """Find nested lists that cannot be converted to an array."""
    if content.layout in ("instances", "inputs") and isinstance(content.value, list):
        if any(isinstance(one, dict) for one in content.value):
            return None
        if shape_of(content.value) is None:
            return Mistake(f"The lists in {content.layout} have different lengths or depths.")
    return None


def hinted_mistake(value: Any, schema: Schema, whose: str = "inputs, row") -> Mistake | None:
    """Find the first mistake in the list for a function with type hints."""
    kind = schema.inputs[0].type
    if not isinstance(value, list):
        return Mistake(
            f"inputs: expected a list of {type_name(kind)}, found {describe_kind(value)}."
        )
    row = first_refused(len(value), lambda some: refuses_element(value[some], Array(kind)))
    if row is None:
        return None
    place, problem = cells.locate_mistake(value[row], kind)
    at = f", at {place}" if place else ""
    return Mistake(f"{whose} {row}{at}: {problem}.", row=row)


def named_mistake(content: Content, schema: Schema, word: str) -> Mistake | None:
    """Find the first mistake in the rows for a model with named columns."""
    named = _with_names(content, schema)
    if isinstance(named, Mistake):
        return named
    names = named.names() or []
    if mistake := missing_columns(names, schema):
        return mistake
    specs = [spec for spec in schema.inputs if spec.name in names]
    by_name = [str(spec.name) for spec in specs]
    at = first_refused(
        len(specs), lambda some: refuses_payload(named.part(by_name[some]), Schema(specs[some]))
    )
    return None if at is None else _column_mistake(named, specs[at], schema, word)


def _column_mistake(content: Content, spec: Any, schema: Schema, word: str) -> Mistake:
    """Find the first refused cell of a column that was refused."""
    name, kind, only = str(spec.name), type_name(spec.type), Schema([spec])
    if content.layout == "instances" and _nests(spec.type):
        rows = [{name: cell} for cell in content.cells(name)]
        if not refuses_payload({"dataframe_records": rows}, only):
            problem = f"instances cannot hold {kind}; send the same rows as dataframe_records"
            return wrong_cell(name, None, problem, word=word)
    if content.by_column() and any(_nests(one.type) for one in schema.inputs):
        found = content.value[name]  # MLflow reads the whole content as one row
        place, problem = cells.locate_mistake(found, spec.type, required=spec.required)
        hint = "; inputs by column is read as one row, so send several as dataframe_records"
        problem += hint if isinstance(found, list) else ""
        return wrong_cell(name, 0, problem, place=place, kind=spec.type, word=word)
    row = first_refused(
        content.length(), lambda some: refuses_payload(content.part([name], some), only)
    )
    if row is None:
        return wrong_cell(name, None, f"expected {kind}", kind=spec.type, word=word)
    cell = content.cells(name)[row]
    place, problem = cells.locate_mistake(cell, spec.type, required=spec.required)
    return wrong_cell(name, row, problem, place=place, kind=spec.type, word=word)


def _with_names(content: Content, schema: Schema) -> Content | Mistake:
    """Return the content by name, where MLflow names a single column; else a mistake."""
    if content.names() is not None:
        return content
    names = [str(name) for name in schema.input_names()]
    if len(names) == 1 and content.layout in ("instances", "inputs"):
        return Content(content.layout, {names[0]: content.value})
    return _nameless(content, names)


def _nameless(content: Content, known: list[str]) -> Mistake:
    """Describe rows without names, for a model with named columns."""
    if content.layout == "dataframe_split":
        return Mistake(
            f'dataframe_split lacks "columns": add the names of the cells, in their order. The '
            f"model takes {quote_columns(known)}.", tuple(known),
        )  # fmt: skip
    if not content.length():
        return Mistake(f"{content.layout} holds no rows.")
    return Mistake(
        f"The rows of {content.layout} have no names, and the model takes {quote_columns(known)}. "
        "Send each row as an object by name.", tuple(known),  # which every protocol takes
    )  # fmt: skip


def unnamed_mistake(content: Content, schema: Schema) -> Mistake | None:
    """Find the first mistake in the rows for a model whose columns have no names."""
    if mistake := _width_mistake(content, len(schema.inputs)) or uneven_lists(content):
        return mistake
    rows = content.rows
    row = first_refused(len(rows), lambda some: refuses_payload(content.part(None, some), schema))
    if row is None:
        return None
    one = rows[row]
    found = list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else [one]
    for at, (cell, spec) in enumerate(zip(found, schema.inputs, strict=False)):
        if isinstance(cell, (list, dict)) or refuses_payload(
            {"dataframe_split": {"data": [[cell]]}}, Schema([spec])
        ):
            place, problem = cells.locate_mistake(cell, spec.type, required=spec.required)
            return wrong_cell(str(at), row, problem, place=place, kind=spec.type)
    kinds = ", ".join(map(type_name, schema.input_types()))
    problem = f"expected {kinds}, found {', '.join(map(describe_kind, found))}"
    return Mistake(f"Row {row} of {content.layout}: {problem}.", row=row)


def _width_mistake(content: Content, width: int) -> Mistake | None:
    """Find rows that have fewer cells than the signature has columns without names."""
    layout, names, rows = content.layout, content.names(), content.rows
    nested = isinstance(rows, list) and rows and names is None
    if layout in ("instances", "inputs") and not nested:
        return Mistake(
            f"The model's signature names no columns: {layout} must be a list of rows with {width} "
            f"cells each; it is {_rows_of(content)}."
        )
    if not rows:
        return Mistake(f"{layout} holds no rows.")
    if names is not None and len(names) < width:
        return Mistake(f"The model takes {width} columns; the request has {len(names)}.")
    for row, one in enumerate(rows if names is None else ()):
        have = len(one) if isinstance(one, list) else 1
        if have < width:
            return Mistake(f"Row {row} of {layout} has {have} of {width} cells.", row=row)
    return None


def _rows_of(content: Content) -> str:
    if isinstance(content.value, list) and content.value:
        return "a list of objects"
    return describe_kind(content.value)


def tensors_mistake(content: Content, schema: Schema) -> Mistake | None:
    """Find the first mistake in the content for a model with tensors in its signature."""
    if schema.has_input_names():
        return _named_tensors_mistake(content, schema)
    spec: Any = schema.inputs[0]
    if content.layout.startswith("dataframe_"):
        return _tensor_of_table(content, spec)
    if content.names() is None:
        return tensor_mistake(content.value, spec)
    wanted = f"{type_name(spec.type)} of shape {shape_name(spec.shape)}"
    return Mistake(
        f"The model takes one tensor without a name, {wanted}: {content.layout} must be nested "
        "lists; it holds objects."
    )


def _named_tensors_mistake(content: Content, schema: Schema) -> Mistake | None:
    named = _with_names(content, schema)
    if isinstance(named, Mistake):
        return named
    if mistake := missing_columns(named.names() or [], schema):
        return mistake
    for spec in schema.inputs:
        name = str(spec.name)
        value = named.value[name] if named.by_column() else named.cells(name)
        if mistake := tensor_mistake(value, spec, name):
            return mistake
    return None


def _tensor_of_table(content: Content, spec: Any) -> Mistake | None:
    """Find the mistake in a table for a tensor without a name: columns are its second axis."""
    rows = [list(row.values()) if isinstance(row, dict) else row for row in content.rows]
    if not rows:
        return Mistake(f"{content.layout} holds no rows.")
    width = max(len(row) if isinstance(row, list) else 1 for row in rows)
    if width == 1:
        rows = [row[0] if isinstance(row, list) and row else row for row in rows]
    return tensor_mistake(rows, spec)


def _nests(kind: Any) -> bool:
    return isinstance(kind, (Array, Map, Object))
