"""The table of predictions that a segment holds: a row for each prediction, failure or refusal."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby
from typing import Any

import numpy as np
import pyarrow as pa

from cloche.prediction_log.columns import COLUMNS, INPUT, OUTPUT
from cloche.serving.sealing.cells import array, declared_type, united
from cloche.serving.spool.segment import array_cells, array_of

_CHUNK_ROWS = 1 << 13  # Python's objects of so many rows are in memory at once
# A request in a record, in this order.
_FIELDS = (
    "request_id", "received_at", "rows", "status", "reason", "predictor", "arm", "door", "attempt",
    "inclusion", "queue_us", "model_us", "prediction_id", "subject",
)  # fmt: skip
_REPEATED = frozenset(_FIELDS) - {"rows", "prediction_id", "subject"}
_EMPTY_IS_NULL = ("reason", "predictor")


def predictions_table(
    name: str, header: Mapping[str, Any], records: Iterable[list[Any]]
) -> pa.Table:
    """Return the table of a segment's records, sorted by the time of the requests.

    Args:
        name: The name of the segment.
        header: The header of the segment.
        records: The records: requests, inputs and outputs of each.
    """
    types = {INPUT + column: declared_type(kind) for column, kind in header.get("inputs", ())}
    types |= {INPUT + column: pa.string() for column in header.get("hashed", ())}
    arrays: dict[str, list[pa.Array]] = {}
    rows = 0
    for chunk, size in _chunks(records, types):
        for column, values in chunk.items():
            before = arrays.setdefault(column, [pa.nulls(rows)] if rows else [])
            before.append(values)
        rows += size
        for column in arrays.keys() - chunk.keys():
            arrays[column].append(pa.nulls(size))
    table = pa.table({column: united(values) for column, values in arrays.items()})
    return _sorted(_complete(table, name, header))


def _chunks(
    records: Iterable[list[Any]], types: Mapping[str, pa.DataType | None]
) -> Iterator[tuple[dict[str, pa.Array], int]]:
    chunk = _Chunk(types)
    for record in records:
        chunk.add(*record)
        if chunk.rows >= _CHUNK_ROWS:
            yield chunk.arrays(), chunk.rows
            chunk = _Chunk(types)
    if chunk.rows:
        yield chunk.arrays(), chunk.rows


class _Chunk:
    """Records whose cells are gathered, to be converted together."""

    def __init__(self, types: Mapping[str, pa.DataType | None]) -> None:
        self._types = types
        self._requests: list[list[Any]] = []
        self._cells: dict[str, list[tuple[int, int, Any]]] = {}  # begin, rows and cells
        self._scored = 0  # rows with inputs and outputs
        self.rows = 0

    def add(self, requests: list[list[Any]], inputs: Any, outputs: Any) -> None:
        self._requests += requests
        scored = sum(request[2] for request in requests)
        self.rows += sum(request[2] or 1 for request in requests)
        for prefix, columns in ((INPUT, inputs), (OUTPUT, outputs)):
            for name, cells in _columns(columns, scored):
                self._cells.setdefault(prefix + name, []).append((self._scored, scored, cells))
        self._scored += scored

    def arrays(self) -> dict[str, pa.Array]:
        fields = dict(zip(_FIELDS, zip(*self._requests, strict=True), strict=True))
        scored = np.array(fields["rows"], np.int64)
        sizes = np.maximum(scored, 1)  # a failure is one row
        begins = np.cumsum(sizes) - sizes
        of_request = np.repeat(np.arange(len(sizes)), sizes)
        found: dict[str, pa.Array] = {}
        for name in _FIELDS:
            if name in _REPEATED:
                empty_is_null = name in _EMPTY_IS_NULL
                cells = [cell or None for cell in fields[name]] if empty_is_null else fields[name]
                kind = pa.int64() if name == "received_at" else COLUMNS.field(name).type
                found[name] = pa.array(cells, kind).take(pa.array(of_request))
        found["row"] = pa.array(np.arange(len(of_request)) - np.repeat(begins, sizes), pa.int32())
        for name in ("prediction_id", "subject"):
            found[name] = _for_each_row(fields[name], sizes)
        in_scored = None
        if self._scored != self.rows:
            answered = np.repeat(scored > 0, sizes)
            in_scored = pa.array(np.cumsum(answered) - 1, mask=~answered)
        for name, pieces in self._cells.items():
            cells = self._column(name, pieces)
            found[name] = cells if in_scored is None else cells.take(in_scored)
        return found

    def _column(self, name: str, pieces: list[tuple[int, int, Any]]) -> pa.Array:
        """Convert a column; neighbouring records of a kind together, because each call costs."""
        declared = self._types.get(name)
        arrays: list[pa.Array] = []
        for (kind, _), group in groupby(_without_gaps(pieces, self._scored), _kind):
            cells, rows = _as_one(kind, list(group))
            arrays.append(pa.nulls(rows) if cells is None else array(cells, rows, declared))
        return united(arrays).combine_chunks()


def _without_gaps(pieces: list[tuple[int, int, Any]], rows: int) -> Iterator[tuple[int, Any]]:
    """Iterate over the numbers of rows and cells of a column; None for records without it."""
    end = 0
    for begin, size, cells in pieces:
        if begin > end:
            yield begin - end, None
        yield size, cells
        end = begin + size
    if rows > end:
        yield rows - end, None


def _kind(piece: tuple[int, Any]) -> tuple[str, object]:
    """Tell which neighbours of a piece can be converted with it."""
    rows, cells = piece
    if isinstance(cells, list):
        return "list", None
    if (typed := array_of(cells)) is not None:
        return "array", (typed[0], len(typed[1]) // rows)
    return "alone", id(cells)


def _as_one(kind: str, pieces: list[tuple[int, Any]]) -> tuple[Any, int]:
    if len(pieces) == 1:
        return pieces[0][1], pieces[0][0]
    rows = sum(size for size, _ in pieces)
    if kind == "list":
        return list(chain.from_iterable(cells for _, cells in pieces)), rows
    typed = [found for _, cells in pieces if (found := array_of(cells)) is not None]
    return array_cells(typed[0][0], b"".join(data for _, data in typed)), rows


def _columns(columns: Any, rows: int) -> Iterator[tuple[str, Any]]:
    """Iterate over the columns of a record, by name; one named "" may be a whole Arrow stream."""
    if not rows or not columns:
        return
    for name, cells in columns.items():
        if name == "" and isinstance(cells, bytes):
            yield from zip(*_stream(cells), strict=True)
        else:
            yield name, cells


def _stream(content: bytes) -> tuple[list[str], list[pa.ChunkedArray]]:
    with pa.ipc.open_stream(content) as stream:
        table = stream.read_all()
    return table.column_names, table.columns


def _for_each_row(cells: Iterable[Any], sizes: Any) -> pa.Array:
    """Return texts that a request has one of for all rows, or a list with one for each."""
    flat: list[str | None] = []
    for cell, size in zip(cells, sizes, strict=True):
        flat.extend(cell if isinstance(cell, list) and len(cell) == size else [cell] * size)
    return pa.array([None if isinstance(one, list) else one for one in flat], pa.string())


def _complete(table: pa.Table, name: str, header: Mapping[str, Any]) -> pa.Table:
    """Add what all rows of a segment share, and what has no type because it has no value."""
    rows = len(table)
    same = {
        "segment": name, "server": header["server"], "version": header["version"],
        "digest": header.get("digest") or None,
    }  # fmt: skip
    columns = {
        key: pa.array([value], pa.string()).take(pa.array(np.zeros(rows, np.int8)))
        for key, value in same.items()
    }
    columns["place"] = pa.array(np.arange(rows), pa.int32())
    fixed = [
        columns[field.name] if field.name in columns else table[field.name].cast(field.type)
        for field in COLUMNS
    ]
    own = [
        column
        for column in table.column_names
        if column.startswith((INPUT, OUTPUT)) and not pa.types.is_null(table[column].type)
    ]
    schema = pa.schema([*COLUMNS, *(pa.field(column, table[column].type) for column in own)])
    return pa.table([*fixed, *(table[column] for column in own)], schema=schema)


def _sorted(table: pa.Table) -> pa.Table:
    moments = table["received_at"].to_numpy()
    if not len(moments) or (moments[:-1] <= moments[1:]).all():
        return table
    return table.take(pa.array(np.argsort(moments, kind="stable")))
