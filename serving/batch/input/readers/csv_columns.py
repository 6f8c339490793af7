"""Reads parts of CSV files by Arrow, where that provably gives the values that pandas reads.

It declines every text for which the two might differ: quotes, NUL bytes, carriage returns within
lines, numbers with signs of their own. Numbers of more than 15 characters are read by pandas, which
does not round them correctly; of up to 15 digits both give the nearest float, because all steps but
the last are exact.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from mlflow.types import DataType

from cloche.serving.batch.input.csv_options import CsvOptions, Form
from cloche.serving.batch.input.readers.casting import Types

_EXACT_CHARACTERS = 15
_FLOATS = {DataType.double: pa.float64(), DataType.float: pa.float32()}
_WHOLE = {DataType.long: pa.int64(), DataType.integer: pa.int32()}
_TEXT = pa.dictionary(pa.int32(), pa.string())
_UNDERSTOOD = frozenset(("sep", "quotechar"))  # options that change no cell
_DIGITS = {**dict.fromkeys(_FLOATS, b"0123456789.-"), **dict.fromkeys(_WHOLE, b"0123456789-")}


class CsvColumns:
    """The columns of CSV text as Arrow reads them."""

    def __init__(
        self, inputs: Sequence[str] | None, carried: Sequence[str], types: Types,
        reading: CsvOptions,
    ) -> None:  # fmt: skip
        """Store the settings of a reader; see `cloche.serving.batch.input.readers.csv`."""
        self._inputs = list(inputs or ())
        self._carried = carried
        self._types = types
        self._reading = reading
        planned = {DataType.string, *_FLOATS, *_WHOLE}
        texts = {name for name in self._inputs if types.get(name) is DataType.string}
        self._possible = (
            {types.get(name) for name in self._inputs} <= planned
            and reading.options.keys() <= _UNDERSTOOD
            and texts.isdisjoint(carried)
        )

    def read(
        self, body: bytes, names: Sequence[str], form: Form
    ) -> tuple[pa.Table, pa.Table] | None:
        """Return the model's columns of some rows, and the carried columns as text.

        Args:
            body: The rows, without a header.
            names: The names of the columns in their order.
            form: The characters that divide the text.

        Returns:
            None if pandas must read the rows.
        """
        unique = len(set(names)) == len(names) > 1  # pandas skips lines of blanks, if of one column
        if not self._possible or not unique or not set(self._inputs) <= set(names):
            return None
        odd = form.spaced or not body or form.quote.encode() in body or b"\0" in body
        if odd or body.count(b"\r") != body.count(b"\r\n"):
            return None
        kept = [name for name in self._carried if name in names]
        kinds = dict.fromkeys(self._inputs, pa.string())
        kinds |= {name: _TEXT for name in kinds if self._types[name] is DataType.string}
        kinds |= dict.fromkeys(kept, pa.large_string())  # the type that text of pandas has
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(body),
                arrow_csv.ReadOptions(
                    use_threads=False, block_size=len(body) + 1, column_names=list(names)
                ),
                arrow_csv.ParseOptions(delimiter=form.delimiter, quote_char=False),
                arrow_csv.ConvertOptions(column_types=kinds, include_columns=list(kinds)),
            )
            columns = {name: self._typed(table, name) for name in self._inputs}
        except (pa.ArrowInvalid, ValueError):
            return None
        if any(column is None for column in columns.values()):
            return None
        return pa.table(columns), table.select(kept)

    def _typed(self, table: pa.Table, name: str) -> pa.Array | None:
        cells, kind = table.column(name).combine_chunks(), self._types[name]
        words = pa.array(self._reading.missing(name), pa.string())
        if kind is DataType.string:
            known = pc.if_else(pc.is_in(cells.dictionary, words), None, cells.dictionary)
            return pa.DictionaryArray.from_arrays(cells.indices, known)
        if _content(cells).translate(None, _DIGITS[kind]):
            cells = pc.if_else(pc.is_in(cells, words.cast(cells.type)), None, cells)
            if _content(cells).translate(None, _DIGITS[kind]):
                return None
        return (
            cells.cast(_WHOLE[kind])
            if kind in _WHOLE
            else _floats(cells).cast(_FLOATS[kind], safe=False)
        )


def _floats(cells: Any) -> pa.Array:
    """Return texts of digits, points and signs as float64; empty ones as missing."""
    lengths = pc.binary_length(cells)
    if pc.min(lengths).as_py() == 0:
        cells = pc.if_else(pc.equal(lengths, 0), None, cells)
    long = pc.fill_null(pc.greater(lengths, _EXACT_CHARACTERS), False)
    if not pc.any(long).as_py():
        return cells.cast(pa.float64())
    numbers = pc.if_else(long, None, cells).cast(pa.float64())
    return pc.replace_with_mask(numbers, long, _by_pandas(cells.filter(long)))


def _by_pandas(cells: Any) -> pa.Array:
    """Return texts of digits, points and signs as the floats that pandas reads."""
    lines = _content(pc.binary_join_element_wise(cells, "\n", ""))
    found = pd.read_csv(io.BytesIO(lines), header=None, dtype=np.float64)
    return pa.array(found[0].to_numpy())


def _content(cells: Any) -> bytes:
    """Return all texts joined, as they are stored in the buffer."""
    _, offsets, values = cells.buffers()
    ends = memoryview(offsets).cast("q" if pa.types.is_large_string(cells.type) else "i")
    first, last = ends[cells.offset], ends[cells.offset + len(cells)]
    return bytes(memoryview(values)[first:last]) if values else b""
