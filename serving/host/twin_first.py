"""A scorer whose twin answers while the model is still being loaded.

When a server starts, no other version answers, and a model needs seconds of imports that its twin
does not need. A twin may answer first if it was proven with the installed onnxruntime. Requests
that it is not sure of wait for the model.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, cast

from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel

from cloche.serving.host.log_records.prediction_log import PredictionLog
from cloche.serving.host.parsing.column_decoder import ColumnDecoder
from cloche.serving.host.predictors.twin import Twin
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Item, Result


class LoadedVersion(NamedTuple):
    """A version that can serve."""

    scorer: HostScorer
    description: dict[str, Any]


class TwinFirstScorer:
    """Scores by the twin until the whole version is loaded, and then by the version's scorer."""

    def __init__(
        self,
        metadata: Model,
        decoder: ColumnDecoder,
        twin: Twin,
        *,
        load: Callable[[], LoadedVersion],
        name: str,
        version: str,
        log: PredictionLog | None = None,
    ) -> None:
        """Start to load the version by `load` in a thread."""
        self._loaded: Future[LoadedVersion] = Future()
        loading = cast("PyFuncModel", LoadingModel(metadata, self._model))
        self._by_twin = HostScorer(loading, decoder, twin, name=name, version=version, log=log)
        self._load = load
        threading.Thread(target=self._run, name="load", daemon=True).start()

    def score(self, items: Sequence[Item]) -> Result:
        """Answer each item, in order; see `HostScorer.score`."""
        if self._loaded.done():
            return self._loaded.result().scorer.score(items)
        return self._by_twin.score(items)

    def check(self) -> Result:
        """Score the version's input example; see `HostScorer.check`."""
        return (self._loaded.result().scorer if self._loaded.done() else self._by_twin).check()

    def when_loaded(self, callback: Callable[["Future[LoadedVersion]"], None]) -> None:
        """Call `callback`, in another thread, when the version is loaded or cannot be loaded."""
        self._loaded.add_done_callback(callback)

    def _model(self) -> PyFuncModel:
        return self._loaded.result().scorer.model

    def _run(self) -> None:
        try:
            self._loaded.set_result(self._load())
        except Exception as error:  # noqa: BLE001  # a model may raise anything while it loads
            self._loaded.set_exception(error)


class LoadingModel:
    """A stand-in for a model that is being loaded: all attributes but its metadata wait for it."""

    def __init__(self, metadata: Model, wait: Callable[[], PyFuncModel]) -> None:
        self.metadata = metadata
        self._wait = wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wait(), name)
