"""Converts Arrow tables of an input to frames, with the same types in every part."""

from collections.abc import Callable
from contextlib import suppress

import pandas as pd
import pyarrow as pa
from mlflow.types import DataType

from cloche.serving.batch.input.readers.casting import INTEGERS, Types, type_of

DICTIONARY = "dictionary"  # the type of dictionary-encoded columns, whose dtype depends on the rows
_NULLABLE = {
    getattr(pa, kind.name.lower())(): kind
    for kind in (
        pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype(),
        pd.UInt8Dtype(), pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype(),
    )
}  # fmt: skip


def frame_of(table: pa.Table, types: Types) -> pd.DataFrame:
    """Return a table as a frame, for `cast` to these types."""
    frame: pd.DataFrame = table.to_pandas()
    for at, name in enumerate(table.column_names):
        kind = type_of(types, name, at)
        exact = kind in INTEGERS or kind is DataType.string
        if exact and table.column(name).null_count:
            # without a nullable type, integers become doubles, rounded beyond 2^53
            frame[name] = table.column(name).to_pandas(types_mapper=_NULLABLE.get)
    return frame


def plain(table: pa.Table) -> pa.Table:
    """Decode dictionaries and drop pandas' metadata, so that every part has the same types.

    Decimals become int64 or float64, because signatures have no decimals.
    """
    for index, column in enumerate(table.schema):
        if pa.types.is_decimal(column.type):
            with suppress(pa.ArrowInvalid):  # decimals of more than 64 bits stay
                number = pa.float64() if column.type.scale else pa.int64()
                table = table.set_column(index, column.name, table.column(index).cast(number))
        elif pa.types.is_dictionary(column.type):
            decoded = table.column(index).cast(column.type.value_type)
            table = table.set_column(index, column.name, decoded)
    return table.replace_schema_metadata(None)


def schema_types(schema: pa.Schema, gaps: Callable[[str], bool]) -> dict[str, str]:
    """Return column → dtype in a whole table, if a part may show another.

    These are dictionaries, and columns that missing values change.

    Args:
        schema: The schema of the table.
        gaps: Returns whether a column has missing values.
    """
    full = schema.empty_table().to_pandas().dtypes
    gappy = pa.table([pa.nulls(1, kind) for kind in schema.types], schema=schema).to_pandas().dtypes
    encoded = {field.name for field in schema if pa.types.is_dictionary(field.type)}
    changed = {str(name): str(gappy[name]) for name in full.index if full[name] != gappy[name]}
    return {name: DICTIONARY for name in encoded if name in full.index} | {
        name: kind for name, kind in changed.items() if gaps(name)
    }
