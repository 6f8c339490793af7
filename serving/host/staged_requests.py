"""Requests of a version that has stages before it, or is one: their rows travel as Arrow tables.

A stage answers with a table, which the next stage takes in the place of the request's own rows. The
request's body goes on with it, because the model writes the answer in the request's protocol.
"""

from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa
from mlflow.types import DataType

from cloche.serving.host.answers.error_answers import INTERNAL_ERROR, RequestRefused
from cloche.serving.host.codecs.codec import Codec
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.column_decoder import Column, ColumnDecoder, Table, table_key
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.prediction_writer import LISTS, ModelPredictions, Predicted
from cloche.serving.processes.frames import TABLE_BODY, Answer, Item

_PREPARED = "prepared"  # the key of tables whose columns have exactly the signature's types
_TYPES: dict[DataType, pa.DataType] = {
    DataType.double: pa.float64(),
    DataType.float: pa.float32(),
    DataType.long: pa.int64(),
    DataType.integer: pa.int32(),
    DataType.boolean: pa.bool_(),
}


def read_staged(
    item: Item, codec: Codec, decoder: ColumnDecoder | None, stage: str
) -> ParsedRequest | None:
    """Parse a request with prepared rows, or whose answer is a table, to be batched.

    Args:
        item: The request.
        codec: The codec of its protocol.
        decoder: The decoder of the version's columns.
        stage: The version as the subject of a sentence.

    Returns:
        The request; None if it must be scored alone.
    """
    pass_on = partial(write_table, stage=stage)
    if not item.table:
        request = codec.read(item)
        return None if request is None else request._replace(write=pass_on)
    if decoder is None:
        return None
    columns = _columns(_read(item.table), decoder)
    if columns is None:
        return None
    write, params = codec.writer(item)
    table = Table(table_key(_PREPARED, params), (), params, columns)
    return ParsedRequest(table, pass_on if item.as_table else write)


def score_staged_alone(item: Item, codec: Codec, model: InstrumentedModel, stage: str) -> Answer:
    """Score a request with prepared rows, or whose answer is a table, alone.

    Args:
        item: The request.
        codec: The codec of its protocol.
        model: The version.
        stage: The version as the subject of a sentence.

    Raises:
        RequestRefused: The request cannot be scored; the message says why.
        Exception: Any error of parsing, of MLflow's enforcement or of the model.
    """
    if not item.table:
        codec.predict_alone(item, model)
        return write_table(ModelPredictions(model.raw, model.rows), 0, model.rows, stage)
    write, params = codec.writer(item)
    rows = frame_of_item(item)
    model.predict(rows, params)
    predictions = ModelPredictions(model.raw, model.rows)
    if item.as_table:
        return write_table(predictions, 0, len(rows), stage)
    return write(predictions, 0, len(rows))


def write_table(predicted: Predicted, start: int, end: int, stage: str) -> Answer:
    """Write predictions as an Arrow stream, for the next stage.

    Raises:
        RequestRefused: The predictions are no table with a row for each row.
    """
    table = stage_table(predicted, stage)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.slice(start, end - start))
    return Answer(200, TABLE_BODY, end - start, sink.getvalue().to_pybytes())


def stage_table(predicted: Predicted, stage: str) -> pa.Table:
    """Return the table that a stage passes on.

    Raises:
        RequestRefused: The predictions are no table with a row for each row.
    """
    table = predicted.table
    if predicted.repeated:
        raise RequestRefused(
            f"{stage} answers with several columns named {predicted.repeated!r}; give each a name "
            "of its own.", status=500, code=INTERNAL_ERROR,
        )  # fmt: skip
    if table is None:
        raise RequestRefused(
            f"{stage} must answer with a table of named columns, a data frame for instance; it "
            "answers with values that have no name.", status=500, code=INTERNAL_ERROR,
        )  # fmt: skip
    if table.num_rows != predicted.rows:
        raise RequestRefused(
            f"{stage} must answer each row with one row; it answered {predicted.rows} with "
            f"{table.num_rows}.", status=500, code=INTERNAL_ERROR,
        )  # fmt: skip
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_nested(kind) and _has_dicts(kind):  # a row would get the keys of others
            raise RequestRefused(
                f"{stage} answers with dicts in the column {name!r}, which do not pass on "
                "between versions. Answer each key as a column, or all as a text.",
                status=500, code=INTERNAL_ERROR,
            )  # fmt: skip
    return table


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Return the data frame that the next version gets.

    Integers stay exact beside gaps, and the lists of a stage lists, where Arrow makes arrays.
    """
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True)
    for place, field in enumerate(table.schema):
        if LISTS.items() <= (field.metadata or {}).items():
            cells = pd.Series(table.column(place).to_pylist(), dtype=object)
            frame.isetitem(place, cells.to_numpy())
    return frame


def frame_of_item(item: Item) -> pd.DataFrame:
    """Return the data frame of the rows that the stage before has prepared for a request."""
    return frame_of(_read(item.table))


def _has_dicts(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) or (pa.types.is_list(kind) and _has_dicts(kind.value_type))


def _read(table: bytes) -> pa.Table:
    with pa.ipc.open_stream(table) as stream:
        return stream.read_all()


def _columns(table: pa.Table, decoder: ColumnDecoder) -> list[Column] | None:
    """Return the decoder's columns; None unless each has exactly the signature's type."""
    if len(batches := table.to_batches()) != 1:
        return None
    (batch,) = batches  # its arrays are converted in a fraction of the time of chunked ones
    places = {name: place for place, name in enumerate(batch.schema.names)}
    columns: list[Column] = []
    for name, kind in zip(decoder.names, decoder.types, strict=True):
        if (place := places.get(name)) is None:
            return None
        column: Any = batch.column(place)
        if kind is DataType.string:
            texts = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
            exact = texts and not column.null_count
        else:
            gaps = column.null_count > 0 and kind not in (DataType.double, DataType.float)
            exact = column.type == _TYPES.get(kind) and not gaps
        if not exact:
            return None
        cells = column.to_numpy(zero_copy_only=False)
        columns.append(cells.tolist() if kind is DataType.string else cells)
    return columns
