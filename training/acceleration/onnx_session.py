"""Runs an ONNX graph on rows as serving does: column arrays and codes in, scores out."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd

from cloche.registry.coded_graph import UNKNOWN, coded
from cloche.training.acceleration.original_model import Floats, Input
from cloche.training.errors import TwinRefused

_ONE_THREAD = 1  # the twin is small; a proof must not take more cores than it was given
_FATAL = 4  # log severity: onnxruntime raises its errors, so it need not print them as well


class Session:
    """An ONNX graph that is loaded into memory.

    Args:
        classes: Number of probabilities for each row; 0 for a regression.

    Attributes:
        taken: Names of the columns that the graph takes.

    Raises:
        TwinRefused: onnxruntime does not load the graph.
    """

    def __init__(self, graph: bytes, inputs: tuple[Input, ...], classes: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = _ONE_THREAD
        options.log_severity_level = _FATAL
        self._session = _session(graph, options)
        self._codes: tuple[Any, dict[str, int]] | None = None
        if (found := coded(graph)) is not None:
            self._codes = _session(found.content, options), found.vocabulary
        self.taken = {one.name for one in self._session.get_inputs()}
        self._width = (classes,) if classes else ()
        self._inputs = tuple(one for one in inputs if one.column in self.taken)

    def scores(self, rows: pd.DataFrame) -> Floats:
        """Return the scores of (n rows) raw rows, of shape (n, classes) or (n,).

        A row gets NaN if it has a missing value that the tensor cannot hold, or if onnxruntime
        fails on it; serving leaves such rows to the original model.

        Raises:
            TwinRefused: The graph's code-taking form, by which serving asks it, differs from it.
        """
        feed, outside = {}, np.zeros(len(rows), dtype=bool)
        for one in self._inputs:
            values, declined = tensor(rows[one.column], one)
            feed[one.column] = values.reshape(-1, 1)
            outside |= declined
        try:
            answer = self._session.run(None, feed)[0]
            by_codes = self._by_codes(feed)
        except Exception:  # noqa: BLE001 (onnxruntime's errors have no common base)
            if len(rows) == 1:
                return np.full((1, *self._width), np.nan)
            middle = len(rows) // 2
            return np.concatenate([self.scores(rows[:middle]), self.scores(rows[middle:])])
        if by_codes is not None and not np.array_equal(answer, by_codes, equal_nan=True):
            raise TwinRefused("its graph scores otherwise by codes of texts than by the texts")
        scores = np.asarray(answer, dtype=np.float64)
        scores = scores.reshape(len(rows), *self._width)
        scores[outside] = np.nan
        return scores

    def _by_codes(self, feed: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any] | None:
        """Return the scores by the code-taking form of the graph; None if it has none."""
        if self._codes is None:
            return None
        session, vocabulary = self._codes
        codes = {
            name: np.array([vocabulary.get(text, UNKNOWN) for text in values.ravel()], np.int64)
            for name, values in feed.items()
            if values.dtype == object
        }
        given = feed | {name: numbers.reshape(-1, 1) for name, numbers in codes.items()}
        scores: npt.NDArray[Any] = session.run(None, given)[0]
        return scores


def _session(graph: bytes, options: Any) -> Any:
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise TwinRefused(f"onnxruntime refuses the graph: {str(error)[:300]}") from error


def tensor(column: pd.Series, wanted: Input) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return a column as a tensor, and a mask of the rows whose value no tensor can hold."""
    missing = column.isna().to_numpy()
    if wanted.tensor == "double":
        return column.to_numpy(dtype=np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    if wanted.tensor == "int64":
        return column.where(~missing, 0).to_numpy(dtype=np.int64), missing
    stands = wanted.missing or ""
    text = _whole if wanted.whole else str
    texts = [stands if gone else text(value) for value, gone in zip(column, missing, strict=True)]
    declined = missing if wanted.missing is None else np.zeros(len(column), dtype=bool)
    return np.array(texts, dtype=object), declined


def _whole(value: Any) -> str:
    """Return an integer category as the scorer names it.

    A missing value elsewhere in the column may have turned the integer into a float.
    """
    return str(int(value))
