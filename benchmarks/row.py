"""The one row that every request of a model carries, in the bodies that servers read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_DATATYPES = {"double": "FP64", "long": "INT64", "string": "BYTES"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name, its type in the model's signature, and the value in it."""

    name: str
    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Row:
    """A row, by columns in the order of the signature."""

    columns: tuple[Column, ...]

    def record(self) -> dict[str, Any]:
        """Values by name."""
        return {column.name: column.value for column in self.columns}

    def split(self) -> bytes:
        """The body that MLflow's scoring protocol calls `dataframe_split`."""
        names = [column.name for column in self.columns]
        values = [column.value for column in self.columns]
        return json.dumps({"dataframe_split": {"columns": names, "data": [values]}}).encode()

    def open_inference(self) -> bytes:
        """The body of the Open Inference Protocol, version 2."""
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
        """Keep it in a file."""
        path.write_text(json.dumps([asdict(column) for column in self.columns]))


def read(path: Path) -> Row:
    """The row that was kept in a file."""
    return Row(tuple(Column(**fields) for fields in json.loads(path.read_text())))
