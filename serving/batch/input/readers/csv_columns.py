"""Reads parts of CSV files as columns, by Arrow where that provably gives what pandas reads.

Since pandas 3.1, both take a number for the float that is nearest to it, but they differ in the
words for infinity. Text that they might divide into other fields is not given to this module; see
`cloche.serving.batch.input.record_boundaries`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from mlflow.types import DataType

from cloche.serving.batch.input.csv_options import PLAIN, CsvOptions, Dialect
from cloche.serving.batch.input.readers.casting import INTEGERS, Types
from cloche.serving.batch.storage.cell_texts import string_bytes

_NEAREST_FLOATS = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
_WORDS = pa.dictionary(pa.int32(), pa.string())
# What a processor's cache holds. Arrow fails if such a block ends within quotes; pandas reads then.
_BLOCK_BYTES = 1 << 20


class CsvColumns:
    """The columns of CSV text, without a frame of the texts.

    Attributes:
        possible: Whether these columns can be read with these options.
    """

    def __init__(
        self, model_columns: Sequence[str] | None, carried: Sequence[str], types: Types,
        csv_options: CsvOptions, dtypes: Mapping[Any, str],
    ) -> None:  # fmt: skip
        """Store the settings; see `cloche.serving.batch.input.readers.csv`.

        Args:
            model_columns: The names of the model's columns.
            carried: The names of the columns that are copied into the output.
            types: The column types of the signature.
            csv_options: The CSV options.
            dtypes: Type of the signature → the dtype by which pandas reads numbers.
        """
        self._model_columns = list(model_columns or ())
        self._texts = [name for name in self._model_columns if types.get(name) is DataType.string]
        numbers = {name: types.get(name) for name in self._model_columns if name not in self._texts}
        self._integers = {n: dtypes[k] for n, k in numbers.items() if k in INTEGERS}
        floats = numbers.keys() - self._integers.keys()
        self._carried = carried
        self._missing = PLAIN.missing("")  # as the options name no others
        self.possible = (
            dtypes.keys() >= set(numbers.values())
            and (_NEAREST_FLOATS or not floats)
            and floats.union(self._texts).isdisjoint(carried)
            and csv_options.options.keys() <= {"sep", "quotechar"}
        )
        self._floats = {name: dtypes[numbers[name]] for name in floats} if self.possible else {}

    def read(
        self, text: pa.NativeFile, names: Sequence[str], dialect: Dialect
    ) -> tuple[pa.Table, pa.Table] | None:
        """Return the model's columns of some rows, and the carried columns as text.

        Args:
            text: A stream of the rows, which are plain CSV.
            names: The names of the columns in their order.
            dialect: The characters that divide the text.

        Returns:
            None if a frame must be read.
        """
        unique = len(set(names)) == len(names) > 1  # pandas skips lines of blanks, if of one column
        kept = [name for name in self._carried if name in names]
        if not unique or not set(self._model_columns) <= set(names):
            return None
        try:
            table = self._table(text, names, kept, dialect)
            columns = {name: self._number(table.column(name), name) for name in self._floats}
            columns |= {name: self._whole(table.column(name), name) for name in self._integers}
        except (pa.ArrowInvalid, ValueError):
            return None
        columns |= {name: self._without_gaps(table.column(name)) for name in self._texts}
        return pa.table({name: columns[name] for name in self._model_columns}), table.select(kept)

    def _table(
        self, text: pa.NativeFile, names: Sequence[str], kept: Sequence[str], dialect: Dialect
    ) -> pa.Table:
        kinds: dict[str, pa.DataType] = dict.fromkeys(self._floats, pa.float64())
        kinds |= dict.fromkeys(self._integers, pa.string())
        kinds |= dict.fromkeys(self._texts, _WORDS)
        kinds |= dict.fromkeys(kept, pa.large_string())  # the type of pandas' texts
        wanted = list(kinds) or [names[0]]  # Arrow counts the rows and their cells
        return arrow_csv.read_csv(
            text,
            arrow_csv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, column_names=list(names)
            ),
            arrow_csv.ParseOptions(delimiter=dialect.delimiter, quote_char=dialect.quote),
            arrow_csv.ConvertOptions(
                column_types=kinds, include_columns=wanted, null_values=self._missing
            ),
        )

    def _number(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        """Return floats as the type by which pandas reads them.

        Raises:
            ValueError: pandas must read them.
        """
        if np.isfinite(column.to_numpy()).sum() + column.null_count != len(column):
            raise ValueError("infinity, or a text that Arrow takes for no number")
        return column.cast(pa.from_numpy_dtype(self._floats[name]), safe=False)

    def _whole(self, column: pa.ChunkedArray, name: str) -> pa.Array:
        """Return texts as integers.

        Raises:
            ValueError: pandas must read them: Arrow knows other notations, and pandas no gaps.
        """
        cells = column.combine_chunks()
        if string_bytes(cells).translate(None, b"0123456789-"):
            raise ValueError("not only digits")
        return cells.cast(pa.int64()).cast(pa.from_numpy_dtype(self._integers[name]))

    def _without_gaps(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return a column of texts in which the words for missing values are null."""
        return pa.chunked_array([self._with_null_words(one) for one in column.chunks], _WORDS)

    def _with_null_words(self, cells: pa.DictionaryArray) -> pa.DictionaryArray:
        missing = pc.is_in(cells.dictionary, pa.array(self._missing, pa.string()))
        if not pc.any(missing).as_py():
            return cells
        # not in the dictionary: Arrow cannot join dictionaries with nulls
        places = pc.if_else(missing.take(cells.indices), None, cells.indices)
        return pa.DictionaryArray.from_arrays(places, cells.dictionary)
