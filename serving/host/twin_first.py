"""A version whose twin answers while its model is still being loaded.

At the start of a server nobody else answers, and a model needs seconds of imports that its twin
does not. A twin may go first where it was proven with the onnxruntime that is here; whatever it is
not sure of waits for the model.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, cast

from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel

from cloche.serving.host.parsing.column_decoder import ColumnDecoder
from cloche.serving.host.predictors.twin import Twin
from cloche.serving.host.scoring import Scorer
from cloche.serving.processes.frames import Item, Result


class Loaded(NamedTuple):
    """A version that can serve: its scorer, and its description for the front."""

    scorer: Scorer
    description: dict[str, Any]


class TwinFirstScorer:
    """Scores by the twin, and as the whole version does as soon as that is loaded."""

    def __init__(
        self,
        metadata: Model,
        plan: ColumnDecoder,
        twin: Twin,
        *,
        load: Callable[[], Loaded],
        name: str,
        version: str,
    ) -> None:
        """Begin to load.

        Args:
            metadata: Of the version.
            plan: For its signature.
            twin: That answers until the rest is there.
            load: Gives the whole version; called in a thread.
            name: By which the version is served.
            version: Its number.
        """
        self._whole: Future[Loaded] = Future()
        coming = cast("PyFuncModel", ComingModel(metadata, self._model))
        self._early = Scorer(coming, plan, twin, name=name, version=version)
        self._load = load
        threading.Thread(target=self._run, name="load", daemon=True).start()

    def score(self, items: Sequence[Item]) -> Result:
        """One answer for each item, in order; see `Scorer.score`."""
        if self._whole.done():
            return self._whole.result().scorer.score(items)
        return self._early.score(items)

    def check(self) -> Result:
        """How it answers its version's input example; see `Scorer.check`."""
        return (self._whole.result().scorer if self._whole.done() else self._early).check()

    def then(self, tell: Callable[["Future[Loaded]"], None]) -> None:
        """Have `tell` called, from another thread, when the version is whole or cannot be."""
        self._whole.add_done_callback(tell)

    def _model(self) -> PyFuncModel:
        return self._whole.result().scorer.model

    def _run(self) -> None:
        try:
            self._whole.set_result(self._load())
        except Exception as error:  # noqa: BLE001  # a model may raise anything while it loads
            self._whole.set_exception(error)


class ComingModel:
    """Stands in for a model that is being loaded: its metadata is there, the rest is waited for."""

    def __init__(self, metadata: Model, wait: Callable[[], PyFuncModel]) -> None:
        self.metadata = metadata
        self._wait = wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wait(), name)
