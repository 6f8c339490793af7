"""Reads parts of CSV files as columns, by Arrow where that provably gives what pandas reads.

A number of up to 15 characters, all digits, a point and a sign, is the same number in both: the
nearest float, as only the last step of pandas' parser rounds. Longer ones pandas rounds otherwise,
so its own parser reads columns that have them. Quotes, NUL bytes, blanks after delimiters and
carriage returns within lines are left to it, too.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from mlflow.types import DataType
from pandas.errors import ParserError

from cloche.serving.batch.input.csv_options import PLAIN, CsvOptions, Dialect
from cloche.serving.batch.input.readers.casting import INTEGERS, Types

_EXACT_CHARACTERS = 15
_WORDS = pa.dictionary(pa.int32(), pa.string())
_REFUSALS = (pa.ArrowInvalid, ValueError, ParserError, OverflowError)


class CsvColumns:
    """The columns of CSV text, without a frame of the texts.

    Attributes:
        possible: Whether these columns can be read with these options.
    """

    def __init__(
        self, inputs: Sequence[str] | None, carried: Sequence[str], types: Types,
        reading: CsvOptions, dtypes: Mapping[Any, str],
    ) -> None:  # fmt: skip
        """Store the settings; see `cloche.serving.batch.input.readers.csv`.

        Args:
            inputs: The names of the model's columns.
            carried: The names of the columns that are copied into the output.
            types: The column types of the signature.
            reading: The CSV options.
            dtypes: Type of the signature → the dtype by which pandas reads numbers.
        """
        self._inputs = list(inputs or ())
        self._texts = [name for name in self._inputs if types.get(name) is DataType.string]
        self._numbers = {n: types.get(n) for n in self._inputs if n not in self._texts}
        self._dtypes = dtypes
        self._by_pandas: set[str] = set()  # columns in which long numbers were found
        self._carried = carried
        self._reading = reading
        self._missing = PLAIN.missing("")  # as the options name no others
        self.possible = (
            dtypes.keys() >= set(self._numbers.values())
            and set(self._texts).isdisjoint(carried)
            and reading.options.keys() <= {"sep", "quotechar"}
        )

    def read(
        self, header: bytes, body: bytes, names: Sequence[str], form: Dialect
    ) -> tuple[pa.Table, pa.Table] | None:
        """Return the model's columns of some rows, and the carried columns as text.

        Args:
            header: The text before the rows.
            body: The text of the rows.
            names: The names of the columns in their order.
            form: The characters that divide the text.

        Returns:
            None if a frame must be read.
        """
        unique = len(set(names)) == len(names) > 1  # pandas skips lines of blanks, if of one column
        kept = [name for name in self._carried if name in names]
        if not unique or not set(self._inputs) <= set(names):
            return None
        if form.spaced or b"\0" in body or body.count(b"\r") != body.count(b"\r\n"):
            return None
        if form.quote.encode() in body:  # Arrow and pandas read an odd quote differently
            return None
        try:
            table = self._texts_of(body, names, kept, form)
            columns = {name: self._without_gaps(table.column(name)) for name in self._texts}
            for name in self._numbers.keys() - self._by_pandas:
                if (found := self._number(table.column(name), name)) is not None:
                    columns[name] = found
                else:
                    self._by_pandas.add(name)
            if self._by_pandas:
                columns |= self._parsed(header + body, table.num_rows, form)
        except _REFUSALS:
            return None
        return pa.table({name: columns[name] for name in self._inputs}), table.select(kept)

    def _texts_of(
        self, body: bytes, names: Sequence[str], kept: Sequence[str], form: Dialect
    ) -> pa.Table:
        kinds = dict.fromkeys(self._numbers.keys() - self._by_pandas, pa.string())
        kinds |= dict.fromkeys(self._texts, _WORDS)
        kinds |= dict.fromkeys(kept, pa.large_string())  # the type of pandas' texts
        wanted = list(kinds) or [names[0]]  # Arrow counts the rows and their cells
        return arrow_csv.read_csv(
            pa.BufferReader(body),
            arrow_csv.ReadOptions(
                use_threads=False, block_size=len(body) + 1, column_names=list(names)
            ),
            arrow_csv.ParseOptions(delimiter=form.delimiter, quote_char=False),
            arrow_csv.ConvertOptions(column_types=kinds, include_columns=wanted),
        )

    def _parsed(self, text: bytes, rows: int, form: Dialect) -> dict[str, pa.Array]:
        """Return the columns of numbers that pandas must read."""
        dtypes = {name: self._dtypes[self._numbers[name]] for name in self._by_pandas}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pandas then refuses the cast
            frame = pd.read_csv(
                io.BytesIO(text), usecols=list(dtypes), dtype=dtypes, index_col=False,
                na_values=dict.fromkeys(dtypes, self._missing), keep_default_na=False,
                low_memory=False, **self._reading.heading(form),
            )  # fmt: skip
        if len(frame) != rows:
            raise ParserError("Arrow found other rows")
        return {name: pa.array(frame[name].to_numpy()) for name in dtypes}

    def _number(self, column: pa.ChunkedArray, name: str) -> pa.Array | None:
        """Return texts as numbers; None if pandas must read them."""
        cells, kind = column.combine_chunks(), self._numbers[name]
        whole = kind in INTEGERS
        if _content(cells).translate(None, b"0123456789-" if whole else b"0123456789-."):
            words = pa.array(self._missing, cells.type)
            cells = pc.if_else(pc.is_in(cells, words), None, cells)
            if _content(cells).translate(None, b"0123456789-" if whole else b"0123456789-."):
                return None
        bounds = pc.min_max(pc.binary_length(cells)).as_py()
        if (bounds["max"] or 0) > _EXACT_CHARACTERS:
            return None
        if bounds["min"] == 0:
            cells = pc.if_else(pc.equal(cells, ""), None, cells)
        if whole and cells.null_count:
            raise ParserError("pandas refuses integers with gaps")
        wanted = pa.from_numpy_dtype(self._dtypes[kind])
        return cells.cast(pa.int64() if whole else pa.float64()).cast(wanted, safe=whole)

    def _without_gaps(self, column: pa.ChunkedArray) -> pa.Array:
        """Return a column of texts in which the words for missing values are null."""
        cells = column.combine_chunks()
        missing = pc.is_in(cells.dictionary, pa.array(self._missing, pa.string()))
        known = pc.if_else(missing, None, cells.dictionary)
        return pa.DictionaryArray.from_arrays(cells.indices, known)


def _content(cells: Any) -> bytes:
    """Return all texts joined, as they are stored in the buffer."""
    _, offsets, values = cells.buffers()
    ends = memoryview(offsets).cast("q" if pa.types.is_large_string(cells.type) else "i")
    first, last = ends[cells.offset], ends[cells.offset + len(cells)]
    return bytes(memoryview(values)[first:last]) if values else b""
