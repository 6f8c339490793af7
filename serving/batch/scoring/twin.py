"""The accelerated twin in a batch job: which one may be used, and what it is asked.

The choice is made once, when the job is pinned, and every worker has to keep it: a part that is
scored again must get the same bytes.
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

from cloche.serving.host.parsing.column_decoder import ColumnDecoder, compile_plan
from cloche.serving.host.predictors.twin import ANY, DESCRIPTION, Prediction, Twin, TwinRefused

_AT_ONCE = 8192  # rows: as fast as more, and the memory that onnxruntime keeps stays small


def usable(path: Path, twin: str, say: Callable[[str], None]) -> str:
    """The digest of the twin that a job uses; empty if the model scores alone.

    Args:
        path: The version's artifacts.
        twin: The digest that the registry names; ANY where no registry could; empty for none.
        say: Is told why a twin that is there is not used.
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
    """A twin, and how a frame becomes what it takes.

    Attributes:
        tolerance: How far its scores may lie from the model's, by its proof.
    """

    def __init__(self, twin: Twin, plan: ColumnDecoder) -> None:
        self._twin = twin
        self._plan = plan
        self.tolerance = twin.tolerance

    @classmethod
    def load(cls, path: Path, digest: str) -> "Accelerator | None":
        """The twin of the version whose artifacts lie at `path`; None if there is none to be used.

        Args:
            path: The version's artifacts.
            digest: Of the twin; or ANY.

        Raises:
            TwinRefused: There is one, and it cannot be trusted or run here.
        """
        plan = compile_plan(Model.load(str(path)))
        twin = Twin.load(path, plan.names, digest) if plan else None
        return cls(twin, plan) if plan and twin else None

    def predict(self, frame: pd.DataFrame) -> Prediction | None:
        """What the twin says of rows; None if the frame has not exactly the signature's types."""
        columns = []
        for name, kind in zip(self._plan.names, self._plan.types, strict=True):
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
    """A column as the twin takes it; None unless MLflow's enforcement would leave it as it is."""
    if kind is not DataType.string:
        return values.to_numpy() if values.dtype == kind.to_numpy() else None
    if isinstance(values.dtype, pd.StringDtype):
        return _strings(pa.array(values))
    return None


def _strings(cells: Any) -> Any:
    """Strings as objects; equal ones are one object where there are few, as in categories."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    encoded = cells.dictionary_encode()
    if encoded.null_count or len(encoded.dictionary) * 8 > len(cells):
        return cells.to_numpy(zero_copy_only=False)
    return encoded.dictionary.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy()]
