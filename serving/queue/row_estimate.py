"""Estimates of the rows in a body, by which the queue weighs requests that no host has read."""

import re

from cloche.serving.processes.frames import Door

_PARQUET_BYTES_PER_ROW = 64
_MESSAGE_BYTES_PER_ROW = 256
_FIRST_SHAPE = re.compile(rb'"shape"\s*:\s*\[\s*([0-9]{1,9})')


_BY_TENSOR = (Door.V2, Door.GRPC)


def rows(content_type: str, body: bytes, door: Door = Door.MLFLOW) -> int:
    """An estimate of the number of rows in a body, at least 1.

    JSON rows open a bracket or a brace each; CSV rows end a line; tensors state their length.
    """
    if door in _BY_TENSOR:
        return _tensor_rows(body, door)
    if content_type.startswith("text/csv"):
        return max(1, body.count(b"\n") - 1)
    if content_type.startswith("application/vnd.apache.parquet"):
        return max(1, len(body) // _PARQUET_BYTES_PER_ROW)
    if len(body) < 64:
        return 1
    return max(1, body.count(b"{") - 1, body.count(b"[") - 2)


def _tensor_rows(body: bytes, door: Door) -> int:
    if door == Door.GRPC:
        return max(1, len(body) // _MESSAGE_BYTES_PER_ROW)
    shape = _FIRST_SHAPE.search(body)
    return max(1, min(int(shape[1]), len(body))) if shape else 1
