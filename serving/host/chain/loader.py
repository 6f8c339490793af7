"""Loads a chain of versions as one MLflow model; `cloche/registry/stage_chain.py` writes it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.pyfunc import PyFuncModel

from cloche.registry.cached_environments import interpreter_beside
from cloche.registry.stage_names import members
from cloche.serving.host import frameworks
from cloche.serving.host.chain.brought_code import brings_other_code
from cloche.serving.host.chain.loaded_stage import LoadedStage, as_frame
from cloche.serving.host.chain.stage_process import StageProcess
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.values.redaction import note_origin

_MODEL = "model"


class Chain:
    """Versions that score a table one after the other.

    Attributes:
        on_version: Called before each version scores, with `stage NAME VERSION` or `model`. An
            error that a version raises has the same words as a note of Python (`note_origin`).
    """

    def __init__(
        self, stages: Sequence[tuple[str, LoadedStage | StageProcess]], model: PyFuncModel
    ) -> None:
        self._stages = stages
        self._model = InstrumentedModel(model)
        self.on_version: Callable[[str], object] = lambda _: None

    def predict(self, rows: Any, params: dict[str, Any] | None = None) -> Any:
        """Return what the last version answers to the rows that the others prepared.

        Raises:
            RequestRefused: A stage answers with no table, or not with a row for each row; or a
                value does not fit the next version's signature.
            Exception: Any error of MLflow's enforcement or of a version's code.
        """
        for name, stage in self._stages:
            self.on_version(name)
            with _noted(name):
                rows = stage.prepare(rows)
        self.on_version(_MODEL)
        with _noted(_MODEL):
            self._model.predict(as_frame(rows), params or None)
        return self._model.raw

    def get_raw_model(self) -> "Chain":
        """Return the chain: MLflow's `PyFuncModel.get_raw_model` calls this."""
        return self


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> Chain:  # noqa: ARG001
    """Load each version as its host would; called by MLflow.

    `frameworks.load` reads the version's own configuration, so MLflow's argument is not used.
    """
    *before, (_, last) = members(Path(path))
    here = [last]  # whose code this process imports
    stages: list[tuple[str, LoadedStage | StageProcess]] = []
    for title, folder in before:
        name = f"stage {title}"
        with _noted(name):
            python = interpreter_beside(folder)
            if python or brings_other_code(folder, here):
                stages.append((name, StageProcess(name, folder, python)))
            else:
                here.append(folder)
                stages.append((name, LoadedStage(name, folder)))
    with _noted(_MODEL):
        return Chain(stages, frameworks.load(last))


@contextmanager
def _noted(name: str) -> Iterator[None]:
    """Note on an error of the block which version raised it."""
    try:
        yield
    except Exception as error:
        note_origin(error, name)
        raise
