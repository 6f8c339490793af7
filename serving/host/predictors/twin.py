"""The accelerated twin of a version: its ONNX form, which answers in the model's place.

The twin's inputs and the meaning of its scores are described in a file beside the graph
(`onnx/twin.json`), which was written when the twin was proven equal to the model. The twin answers
only as far as that proof holds. A row is left to the model if the twin's tensors cannot represent
its values exactly, or if its label is within the proven tolerance of another label. This module
must not know JSON bodies or MLflow.
"""

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cloche.registry.coded_graph import CodedGraph, coded
from cloche.serving.host.predictors.twin_inputs import Array, Fill, Mask, fills_of
from cloche.serving.processes import thread_limits

FORMAT = 1
ANY = "any"  # instead of a digest, for artifacts from sources that record no digest
DESCRIPTION = Path("onnx", "twin.json")
_GRAPH = Path("onnx", "model.onnx")


class TwinUnusable(Exception):
    """The version has a twin that must not serve here. The message says why."""


@dataclass(frozen=True, slots=True)
class TwinPrediction:
    """The twin's predictions for some rows.

    Attributes:
        sure: (n rows) Whether the prediction equals the model's; the model must score other rows.
        names: The names of the answer's columns; None for a plain array.
        columns: The answer's columns, each (n rows); for a plain array of probabilities (n rows,
            classes).
    """

    sure: Mask
    names: Sequence[str] | None
    columns: Sequence[Array]


@dataclass(frozen=True, slots=True)
class _Input:
    name: str
    column: int
    fill: Fill


class Twin:
    """A graph, and the description of its scores.

    Attributes:
        tolerance: The proven maximum difference of its scores from the model's.
        proven_here: Whether the twin was proven with the installed onnxruntime.
        vocabulary: Text → code of the texts that the graph knows; None if it takes texts.
    """

    def __init__(
        self, session: Any, description: Mapping[str, Any], columns: Sequence[str],
        vocabulary: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        place = {name: position for position, name in enumerate(columns)}
        self._session = session
        self.vocabulary = vocabulary
        fills = fills_of(vocabulary)
        self._inputs = [
            _Input(one["name"], place[one["column"]], fills[one["tensor"]](one.get("missing")))
            for one in description["inputs"]
        ]
        self._output = description["scores"]["output"]
        self.tolerance = float(description["tolerance"])
        proven_with = description.get("proof", {}).get("versions", {}).get("onnxruntime")
        self.proven_here = proven_with == version("onnxruntime")
        classes = description.get("classes")
        self._classes = None if classes is None else np.array(classes)
        self._positive: int = description.get("positive") or 0
        self._threshold = description.get("threshold")
        answer = description["answer"]
        self._array: str | None = answer.get("array")
        self._columns = answer.get("columns", [])
        self._names = None if self._array else [column["name"] for column in self._columns]

    @classmethod
    def load(cls, path: Path, columns: Sequence[str], digest: str = ANY) -> "Twin | None":
        """Load the twin beside the model at `path`; None if there is none.

        Args:
            path: The folder of the version's artifacts.
            columns: The names of the signature's columns, in their order.
            digest: The required SHA-256 of `onnx/twin.json` in hexadecimal, or ANY.

        Raises:
            TwinUnusable: The twin cannot be trusted or run here.
        """
        if not (path / DESCRIPTION).is_file():
            return None
        try:
            text = (path / DESCRIPTION).read_bytes()
            description = json.loads(text)
            graph = (path / _GRAPH).read_bytes()
        except (OSError, ValueError) as error:
            raise TwinUnusable(f"The twin cannot be read: {error}") from error
        if digest not in (ANY, hashlib.sha256(text).hexdigest()):
            raise TwinUnusable("The twin is not the one that the registry names.")
        if description.get("format") != FORMAT:
            raise TwinUnusable(f"The twin's format is {description.get('format')}, not {FORMAT}.")
        if hashlib.sha256(graph).hexdigest() != description.get("sha256"):
            raise TwinUnusable("The twin's graph is not the one that was proven.")
        try:
            takes_texts = any(one["tensor"] == "string" for one in description["inputs"])
            by_codes = coded(graph) if takes_texts else None
            session, vocabulary = _loaded(graph, by_codes, description.get("threads"))
            return cls(session, description, columns, vocabulary)
        except (KeyError, TypeError, ValueError) as error:
            raise TwinUnusable(f"The twin's description is not whole: {error!r}") from error

    def predict(self, columns: Sequence[Any]) -> TwinPrediction:
        """Predict for rows.

        Args:
            columns: The signature's columns in their order, each with n values: arrays of the
                signature's types, sequences of strings and None, or codes of such.
        """
        sure: Mask | None = None
        feeds = {}
        for one in self._inputs:
            feeds[one.name], exact = one.fill(columns[one.column])
            if exact is not None:
                sure = exact if sure is None else sure & exact
        (scores,) = self._session.run([self._output], feeds)
        finite = np.isfinite(scores)
        if scores.ndim > 1:  # by column: numpy reduces narrow rows one by one
            finite = reduce(np.logical_and, finite.T)
        sure = finite if sure is None else sure & finite
        return self._answer(scores, sure)

    def _answer(self, scores: Array, sure: Mask) -> TwinPrediction:
        if self._classes is None:
            values = scores.reshape(len(scores))
            return TwinPrediction(sure, self._names, [values] * max(1, len(self._columns)))
        if self._threshold is None and scores.shape[1] == 2:  # as below, and ten times as fast
            distance = scores[:, 1] - scores[:, 0]
            codes = (distance > 0).astype(np.intp)
            sure &= np.abs(distance) > 2 * self.tolerance
        elif self._threshold is None:
            codes = scores.argmax(axis=1)
            best = np.partition(scores, -2, axis=1)[:, -2:]
            sure &= best[:, 1] - best[:, 0] > 2 * self.tolerance
        else:
            distance = scores[:, self._positive] - self._threshold
            codes = np.where(distance >= 0, self._positive, 1 - self._positive)
            sure &= np.abs(distance) > 2 * self.tolerance
        if self._array == "probabilities":
            return TwinPrediction(sure, None, [scores])
        labels = self._classes[codes]
        if self._array:
            return TwinPrediction(sure, None, [labels])
        columns = [
            labels if column["from"] == "label" else scores[:, column["class"]]
            for column in self._columns
        ]
        return TwinPrediction(sure, self._names, columns)


def _loaded(
    graph: bytes, by_codes: CodedGraph | None, threads: int | None
) -> tuple[Any, Mapping[str, int] | None]:
    """Create a session that takes codes, or texts if the graph has no such form.

    Raises:
        TwinUnusable: onnxruntime is not installed, or cannot run the graph.
    """
    if by_codes is not None:
        with suppress(TwinUnusable):  # this onnxruntime may lack an operator for integers
            return _session(by_codes.content, threads), by_codes.vocabulary
    return _session(graph, threads), None


def _session(graph: bytes, demanded: int | None) -> Any:
    """Create a session with the threads that the twin was proven with, or this process's share.

    Raises:
        TwinUnusable: onnxruntime is not installed, or cannot run the graph.
    """
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise TwinUnusable("onnxruntime is not installed: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = demanded or thread_limits.share()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise TwinUnusable(f"onnxruntime cannot run the twin: {error}") from error
