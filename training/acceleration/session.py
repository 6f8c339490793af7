"""Runs a graph on rows, as serving does: column arrays in, scores out."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd

from training.acceleration.original import Floats, Input

_ONE_THREAD = 1  # the twin is small; a proof must not take more cores than it was given
_FATAL = 4  # what onnxruntime prints: nothing that an exception does not say


class Session:
    """A graph in memory.

    Args:
        graph: the ONNX file's bytes.
        inputs: which column becomes which tensor.
    """

    def __init__(self, graph: bytes, inputs: tuple[Input, ...]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = _ONE_THREAD
        options.log_severity_level = _FATAL
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        taken = {one.name for one in self._session.get_inputs()}
        self._inputs = tuple(one for one in inputs if one.column in taken)

    def scores(self, rows: pd.DataFrame) -> Floats:
        """The scores of (n rows) raw rows: (n, classes) or (n,).

        A missing value where the tensor has no place for it gives NaN, as serving leaves such a
        request to the original.
        """
        feed, outside = {}, np.zeros(len(rows), dtype=bool)
        for one in self._inputs:
            values, declined = tensor(rows[one.column], one)
            feed[one.column] = values.reshape(-1, 1)
            outside |= declined
        scores = np.asarray(self._session.run(None, feed)[0], dtype=np.float64)
        scores = scores.ravel() if scores.ndim < 2 or scores.shape[1] == 1 else scores
        scores[outside] = np.nan
        return scores


def tensor(column: pd.Series, wanted: Input) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """A column as a tensor, and which of its rows no tensor can hold."""
    missing = column.isna().to_numpy()
    if wanted.tensor == "double":
        return column.to_numpy(dtype=np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    if wanted.tensor == "int64":
        return column.where(~missing, 0).to_numpy(dtype=np.int64), missing
    stands = wanted.missing or ""
    texts = [stands if gone else str(value) for value, gone in zip(column, missing, strict=True)]
    declined = missing if wanted.missing is None else np.zeros(len(column), dtype=bool)
    return np.array(texts, dtype=object), declined
