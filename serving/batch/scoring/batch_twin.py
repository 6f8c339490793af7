"""The accelerated twin in a batch job: whether it may be used, and how it scores a frame.

The choice is made once, when the job is pinned, and binds every worker: a part that is scored again
must produce the same bytes.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from mlflow.models import Model
from mlflow.types import DataType

from cloche.registry.coded_graph import UNKNOWN
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, compile_decoder
from cloche.serving.host.predictors.twin import ANY, DESCRIPTION, Twin, TwinPrediction, TwinUnusable
from cloche.serving.host.predictors.twin_inputs import GAP, Codes
from cloche.values.progress import Say

_AT_ONCE = 8192  # rows per call: as fast as more, and onnxruntime keeps less memory


def choose_twin(path: Path, twin: str, say: Say, proven: bool = False) -> str:
    """Return the digest of the twin that a job uses; empty if the model scores alone.

    Args:
        path: The directory of the version's artifacts.
        twin: The digest in the registry; ANY for a version outside a registry; empty for none.
        say: Receives a message if a twin exists but cannot be used.
        proven: Whether an earlier job has proven exactly this twin here, so that it can be used.
    """
    try:
        if not twin or (not proven and BatchTwin.load(path, twin) is None):
            return ""
    except TwinUnusable as refusal:
        say(f"The model scores without its twin. {refusal}")
        return ""
    if twin == ANY:
        return hashlib.sha256((path / DESCRIPTION).read_bytes()).hexdigest()
    return twin


class BatchTwin:
    """A twin, with the column decoder that names and types its inputs.

    Attributes:
        tolerance: The proven maximum difference of its scores from the model's.
    """

    def __init__(self, twin: Twin, decoder: ColumnDecoder) -> None:
        self._twin = twin
        self._decoder = decoder
        self._columns = list(zip(decoder.names, decoder.types, strict=True))
        known = twin.vocabulary
        self._words = None if known is None else pa.array(sorted(known, key=known.__getitem__))
        self.tolerance = twin.tolerance

    @classmethod
    def load(cls, path: Path, digest: str) -> "BatchTwin | None":
        """Load the twin with this digest, or ANY, of a version; None if it has no usable twin.

        Raises:
            TwinUnusable: The twin cannot be trusted, or cannot run here.
        """
        decoder = compile_decoder(Model.load(str(path)))
        twin = Twin.load(path, decoder.names, digest) if decoder else None
        return cls(twin, decoder) if decoder and twin else None

    @property
    def takes_tables(self) -> bool:
        """Whether tables can be scored; else only frames can."""
        texts = DataType.string in self._decoder.types
        planned = _ARROW.keys() | {DataType.string} >= set(self._decoder.types)
        return planned and (not texts or self._words is not None)

    def predict(self, frame: pd.DataFrame) -> TwinPrediction | None:
        """Return the twin's predictions; None unless the frame has the signature's exact types."""
        columns = []
        for name, kind in self._columns:
            values = self._cells(frame[name], kind) if name in frame.columns else None
            if values is None:
                return None
            columns.append(values)
        return self._predict(columns, len(frame))

    def predict_table(self, table: pa.Table) -> TwinPrediction | None:
        """Return the twin's predictions for n > 0 rows as they were stored in a file.

        None unless each column becomes the signature's type without a change of any value.
        """
        columns = []
        for name, kind in self._columns:
            if name not in table.column_names:
                return None
            column = table.column(name)
            if kind is DataType.string:
                values = codes(column, self._words) if self._words is not None else None
            else:
                values = _numbers(column, kind)
            if values is None:
                return None
            columns.append(values)
        return self._predict(columns, table.num_rows)

    def _cells(self, values: pd.Series, kind: DataType) -> Any:
        """Return a column as the twin's input; None if MLflow's enforcement would convert it."""
        if kind is not DataType.string:
            return values.to_numpy() if values.dtype == kind.to_numpy() else None
        if not isinstance(values.dtype, pd.StringDtype):
            return None
        cells = pa.array(values)
        if self._words is None:
            return _strings(cells)
        return codes(
            cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells]), self._words
        )

    def _predict(self, columns: list[Any], rows: int) -> TwinPrediction:
        pieces = [
            self._twin.predict([_cut(one, start) for one in columns])
            for start in range(0, rows, _AT_ONCE)
        ]
        return TwinPrediction(
            np.concatenate([one.sure for one in pieces]),
            pieces[0].names,
            [np.concatenate(of) for of in zip(*(one.columns for one in pieces), strict=True)],
        )


def codes(column: pa.ChunkedArray, words: pa.Array) -> Codes | None:
    """Return a column of texts, plain or with dictionaries, as codes; None for other types.

    Args:
        column: The column.
        words: The texts that the graph knows, each at the position that is its code.
    """
    found = [np.empty(0, np.int64)]
    for chunk in column.chunks:
        coded = isinstance(chunk, pa.DictionaryArray)
        values = chunk.dictionary if coded else chunk
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            return None
        at = pc.index_in(values, words.cast(values.type))
        numbers = at.fill_null(UNKNOWN).to_numpy().astype(np.int64)
        if values.null_count:
            numbers[values.is_null().to_numpy(zero_copy_only=False)] = GAP
        if coded:
            places = chunk.indices.fill_null(len(numbers)) if chunk.null_count else chunk.indices
            numbers = np.append(numbers, GAP)[places.to_numpy()]
        found.append(numbers)
    return Codes(np.concatenate(found))


def _cut(column: Any, start: int) -> Any:
    piece = slice(start, start + _AT_ONCE)
    return Codes(column.numbers[piece]) if isinstance(column, Codes) else column[piece]


_INTEGERS = frozenset((pa.int64(), pa.int32(), pa.int16(), pa.int8()))
# Type of the signature → types in files that become it as they do in frames.
_ARROW: dict[DataType, frozenset[pa.DataType]] = {
    DataType.double: _INTEGERS | {pa.float64(), pa.float32()},
    DataType.float: _INTEGERS | {pa.float64(), pa.float32()},
    DataType.long: _INTEGERS,
    DataType.integer: _INTEGERS - {pa.int64()},
    DataType.boolean: frozenset((pa.bool_(),)),
}


def _numbers(column: pa.ChunkedArray, kind: DataType) -> Any:
    """Return a column as an array of the signature's type; None if not all values are of it."""
    gaps = column.null_count > 0 and kind not in (DataType.double, DataType.float)
    if column.type not in _ARROW[kind] or gaps:
        return None
    return column.to_numpy(zero_copy_only=False).astype(kind.to_numpy(), copy=False)


def _strings(cells: Any) -> Any:
    """Return strings as objects; if few are distinct, equal strings share one object."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    encoded = cells.dictionary_encode()
    if encoded.null_count or len(encoded.dictionary) * 8 > len(cells):
        return cells.to_numpy(zero_copy_only=False)
    return encoded.dictionary.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy()]
