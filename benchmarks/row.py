"""The one row that every request of a model carries, in the request formats of the servers."""

import json
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_DATATYPES = {"double": "FP64", "long": "INT64", "string": "BYTES"}
_PACKED: dict[str, Callable[[Any], bytes]] = {
    "double": struct.Struct("<d").pack,
    "long": struct.Struct("<q").pack,
    "string": lambda text: struct.pack("<I", len(text.encode())) + text.encode(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the row: its name, its type in the model's signature, and its value."""

    name: str
    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of one element, in the bytes of the Open Inference Protocol."""

    name: str
    datatype: str
    packed: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """A row of input, as columns in the order of the signature."""

    columns: tuple[Column, ...]

    def record(self) -> dict[str, Any]:
        """Return the values by column name."""
        return {column.name: column.value for column in self.columns}

    def split(self) -> bytes:
        """Encode the row in MLflow's format `dataframe_split`."""
        names = [column.name for column in self.columns]
        values = [column.value for column in self.columns]
        return json.dumps({"dataframe_split": {"columns": names, "data": [values]}}).encode()

    def instances(self) -> bytes:
        """Encode the row for TensorFlow Serving's REST API."""
        return json.dumps({"instances": [self.record()]}).encode()

    def tensors(self) -> "list[Tensor]":
        """Return each column as a tensor of one element."""
        return [
            Tensor(column.name, _DATATYPES[column.kind], _PACKED[column.kind](column.value))
            for column in self.columns
        ]

    def open_inference_binary(self) -> tuple[bytes, int]:
        """Encode the row for the Open Inference Protocol with binary inputs and outputs.

        Returns:
            The request body, and the length in bytes of the JSON at its beginning.
        """
        tensors = self.tensors()
        inputs = [
            {
                "name": one.name,
                "shape": [1, 1],
                "datatype": one.datatype,
                "parameters": {"binary_data_size": len(one.packed)},
            }
            for one in tensors
        ]
        parameters = {"binary_data_output": True}
        text = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
        return b"".join([text, *(one.packed for one in tensors)]), len(text)

    def open_inference(self) -> bytes:
        """Encode the row as JSON for the Open Inference Protocol, version 2."""
        inputs = [
            {
                "name": column.name,
                "shape": [1, 1],
                "datatype": _DATATYPES[column.kind],
                "data": [column.value],
            }
            for column in self.columns
        ]
        return json.dumps({"inputs": inputs}).encode()

    def write(self, path: Path) -> None:
        """Write the row to a file."""
        path.write_text(json.dumps([asdict(column) for column in self.columns]))


def read(path: Path) -> Row:
    """Read a row that `Row.write` wrote to a file."""
    return Row(tuple(Column(**fields) for fields in json.loads(path.read_text())))
