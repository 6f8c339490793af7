"""The columns of a version within Spark: typed by its signature, named by numbers.

The original names are not used, because Spark does not distinguish `A` from `a` and reads a dot as
a path. Pure policy: this module knows neither rows nor Spark.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from cloche.serving.batch.input.readers.casting import scalar_types


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type of columns.

    Attributes:
        ddl: The name of the type in Spark.
        arrow: The Arrow type between Spark and Python.
        zero: The placeholder in rows that have no value.
    """

    ddl: str
    arrow: pa.DataType
    zero: Any


_BOOLEAN = ColumnType("boolean", pa.bool_(), False)
_INT, _BIGINT = ColumnType("int", pa.int32(), 0), ColumnType("bigint", pa.int64(), 0)
_FLOAT, _DOUBLE = ColumnType("float", pa.float32(), 0.0), ColumnType("double", pa.float64(), 0.0)
_STRING = ColumnType("string", pa.string(), "")
_KINDS = {
    DataType.boolean: _BOOLEAN,
    DataType.integer: _INT,
    DataType.long: _BIGINT,
    DataType.float: _FLOAT,
    DataType.double: _DOUBLE,
    DataType.string: _STRING,
    DataType.binary: ColumnType("binary", pa.binary(), b""),
    DataType.datetime: ColumnType("timestamp_ntz", pa.timestamp("us"), 0),
}
_ANSWERS = (_BOOLEAN, _INT, _BIGINT, _FLOAT, _DOUBLE, _STRING)  # result types of `spark_udf`
_TENSORS = {
    "bool": _BOOLEAN,
    "int8": _INT, "int16": _INT, "int32": _INT, "int64": _BIGINT,
    "uint8": _INT, "uint16": _INT, "uint32": _BIGINT,
    "float16": _FLOAT, "float32": _FLOAT, "float64": _DOUBLE,
    "object": _STRING,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SparkColumns:
    """The columns of a job's rows within Spark.

    Attributes:
        inputs: Name → type of the model's input columns.
        outputs: The types of the prediction columns.
        whole: Whether the signature types all columns; if not, both are empty, and rows are not
            passed through Spark.
    """

    inputs: dict[str, ColumnType]
    outputs: tuple[ColumnType, ...]
    whole: bool

    @classmethod
    def of(cls, inputs: Schema | None, outputs: Schema | None) -> "SparkColumns":
        """Return the columns of a version with these schemas."""
        types = scalar_types(inputs) if inputs is not None and inputs.has_input_names() else {}
        kinds = {str(name): _KINDS[kind] for name, kind in types.items() if kind in _KINDS}
        answers = _answers(outputs)
        if not kinds or inputs is None or len(kinds) != len(inputs.inputs) or not answers:
            return cls.none()
        return cls(kinds, answers, whole=True)

    @classmethod
    def none(cls) -> "SparkColumns":
        """Return the columns of a job whose rows are not passed through Spark."""
        return cls({}, (), whole=False)

    @property
    def row(self) -> pa.Schema:
        """The schema of the read stage: a head row per part (see `read_stage`), then its rows."""
        inputs = [(f"i{at}", kind.arrow) for at, kind in enumerate(self.inputs.values())]
        return pa.schema([("head", pa.binary()), ("message", pa.string()), *inputs])

    @property
    def row_ddl(self) -> str:
        """The schema of the read stage as Spark DDL."""
        inputs = [f"i{at} {kind.ddl}" for at, kind in enumerate(self.inputs.values())]
        return ", ".join(["head binary", "message string", *inputs])

    @property
    def answer_ddl(self) -> str:
        """The result type of the model, because MLflow would type a tensor as an array."""
        outputs = [f"o{at} {kind.ddl}" for at, kind in enumerate(self.outputs)]
        return ", ".join([*outputs, "refused string", "message string"])


def _answers(schema: Schema | None) -> tuple[ColumnType, ...]:
    """Return the types of the prediction columns; empty if the schema does not type them all."""
    if schema is None:
        return ()
    found: list[ColumnType | None] = []
    for one in schema.inputs:
        if isinstance(one, TensorSpec):
            found += [_TENSORS.get(np.dtype(one.type).name)] * _width(one)
        elif isinstance(one, ColSpec) and isinstance(one.type, DataType):
            found.append(_KINDS.get(one.type))
        else:
            return ()
    kinds = [kind for kind in found if kind in _ANSWERS]
    return tuple(kind for kind in kinds if kind) if len(kinds) == len(found) else ()


def _width(spec: TensorSpec) -> int:
    """Return the number of columns of a tensor; 0 if unknown."""
    if len(spec.shape) == 1:
        return 1
    return max(spec.shape[1], 0) if len(spec.shape) == 2 else 0
