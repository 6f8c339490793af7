"""The accelerated twin in a batch job: whether it may be used, and how it scores a frame.

The choice is made once, when the job is pinned, and binds every worker: a part that is scored again
must produce the same bytes.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import Model
from mlflow.types import DataType

from cloche.serving.host.parsing.column_decoder import ColumnDecoder, compile_decoder
from cloche.serving.host.predictors.twin import ANY, DESCRIPTION, Prediction, Twin, TwinRefused

_AT_ONCE = 8192  # rows per call: as fast as more, and onnxruntime keeps less memory


def usable(path: Path, twin: str, say: Callable[[str], None]) -> str:
    """Return the digest of the twin that a job uses; empty if the model scores alone.

    Args:
        path: The directory of the version's artifacts.
        twin: The digest in the registry; ANY for a version outside a registry; empty for none.
        say: Receives a message if a twin exists but cannot be used.
    """
    try:
        if not twin or Accelerator.load(path, twin) is None:
            return ""
    except TwinRefused as refusal:
        say(f"The model scores without its twin. {refusal}")
        return ""
    if twin == ANY:
        return hashlib.sha256((path / DESCRIPTION).read_bytes()).hexdigest()
    return twin


class Accelerator:
    """A twin, with the column decoder that names and types its inputs.

    Attributes:
        tolerance: The proven maximum difference of its scores from the model's.
    """

    def __init__(self, twin: Twin, decoder: ColumnDecoder) -> None:
        self._twin = twin
        self._decoder = decoder
        self.tolerance = twin.tolerance

    @classmethod
    def load(cls, path: Path, digest: str) -> "Accelerator | None":
        """Load the twin with this digest, or ANY, of a version; None if it has no usable twin.

        Raises:
            TwinRefused: The twin cannot be trusted, or cannot run here.
        """
        decoder = compile_decoder(Model.load(str(path)))
        twin = Twin.load(path, decoder.names, digest) if decoder else None
        return cls(twin, decoder) if decoder and twin else None

    def predict(self, frame: pd.DataFrame) -> Prediction | None:
        """Return the twin's predictions; None unless the frame has the signature's exact types."""
        columns = []
        for name, kind in zip(self._decoder.names, self._decoder.types, strict=True):
            values = _cells(frame[name], kind) if name in frame.columns else None
            if values is None:
                return None
            columns.append(values)
        pieces = [
            self._twin.predict([one[start : start + _AT_ONCE] for one in columns])
            for start in range(0, len(frame), _AT_ONCE)
        ]
        return Prediction(
            np.concatenate([one.sure for one in pieces]),
            pieces[0].names,
            [np.concatenate(of) for of in zip(*(one.columns for one in pieces), strict=True)],
        )


def _cells(values: pd.Series, kind: DataType) -> Any:
    """Return a column as the twin's input; None if MLflow's enforcement would convert it."""
    if kind is not DataType.string:
        return values.to_numpy() if values.dtype == kind.to_numpy() else None
    if isinstance(values.dtype, pd.StringDtype):
        return _strings(pa.array(values))
    return None


def _strings(cells: Any) -> Any:
    """Return strings as objects; if few are distinct, equal strings share one object."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    encoded = cells.dictionary_encode()
    if encoded.null_count or len(encoded.dictionary) * 8 > len(cells):
        return cells.to_numpy(zero_copy_only=False)
    return encoded.dictionary.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy()]
