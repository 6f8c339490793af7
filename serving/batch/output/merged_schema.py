"""Merges tables whose columns differ in type, into types that change no value."""

from collections.abc import Sequence

import pyarrow as pa

from cloche.serving.batch.output.answer_encoding import JSON
from cloche.serving.batch.storage.cell_texts import count_not_in_json, json_texts
from cloche.serving.errors import JobFailed


def common(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return the common schema; columns whose types have no common type become JSON.

    Raises:
        JobFailed: The schemas have different column names.
    """
    for one in schemas:
        refuse_other_columns(schemas[0].names, one.names)
    return pa.schema(
        [_common(list(dict.fromkeys(fields))) for fields in zip(*schemas, strict=True)]
    )


def refuse_other_columns(names: Sequence[str], later: Sequence[str]) -> None:
    """Refuse column names that differ from those of earlier rows.

    Raises:
        JobFailed: The names differ.
    """
    if list(names) != list(later):
        raise JobFailed(
            f"The model answered with columns {names} and later with {later}; a table cannot hold "
            "both."
        )


def cast_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table cast to a schema that `common` returned for it and others.

    Raises:
        JobFailed: A value would change.
    """
    columns = [
        _column(table.column(at), field) if table.schema.field(at).type != field.type
        else table.column(at)
        for at, field in enumerate(schema)
    ]  # fmt: skip
    return pa.table(columns, schema=schema)


def concatenate(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables; a column that a table lacks is null in its rows.

    Raises:
        JobFailed: A value would change.
    """
    if len(tables) == 1:
        return tables[0]
    names = list(dict.fromkeys(name for one in tables for name in one.column_names))
    tables = [
        pa.table(
            {name: one[name] if name in one.column_names else pa.nulls(len(one)) for name in names}
        )
        for one in tables
    ]
    schema = common([one.schema for one in tables])
    return pa.concat_tables([cast_table(one, schema) for one in tables])


def _common(fields: list[pa.Field]) -> pa.Field:
    families = {_family(field.type) for field in fields} - {"null"}
    if len(families) < 2:
        try:
            schemas = [pa.schema([one]) for one in fields]
            return pa.unify_schemas(schemas, promote_options="permissive")[0]
        except pa.ArrowException:
            pass
    return pa.field(fields[0].name, JSON)


def _family(kind: pa.DataType) -> str:
    """Return the family of a type; within a family a cast keeps every value or raises."""
    if pa.types.is_uint64(kind):  # Arrow would unify it with signed integers to int64
        return "uint64"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    return str(kind).split("[")[0].split("<")[0].split("(")[0]


def _column(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    try:
        if field.type != JSON:
            return column.cast(field.type)
        if not count_not_in_json(column):
            return json_texts(column).cast(JSON)
    except pa.ArrowException:
        pass
    raise JobFailed(
        f"The model answered {field.name!r} as {column.type} for some rows and otherwise for "
        f"others, and not all values are the same as {field.type}. Let it answer one type; pandas "
        "has Int64 for whole numbers with gaps."
    )
