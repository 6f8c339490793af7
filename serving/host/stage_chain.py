"""Loads a chain of versions as one MLflow model; `cloche/registry/stage_chain.py` writes it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.pyfunc import PyFuncModel

from cloche.registry.stage_chain import member_folders, member_names
from cloche.serving.host import frameworks
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.predictors.prediction_writer import ModelPredictions
from cloche.serving.host.staged_requests import frame_of, stage_table
from cloche.values.redaction import note_origin

_MODEL = "model"


class Chain:
    """Versions that score a table one after the other.

    Attributes:
        on_version: Called before each version scores, with `stage NAME VERSION` or `model`. An
            error that a version raises has the same words as a note of Python (`note_origin`).
    """

    def __init__(self, versions: Sequence[tuple[str, PyFuncModel]]) -> None:
        self._versions = [(name, InstrumentedModel(version)) for name, version in versions]
        self.on_version: Callable[[str], object] = lambda _: None

    def predict(self, rows: Any, params: dict[str, Any] | None = None) -> Any:
        """Return what the last version answers to the rows that the others prepared.

        Raises:
            RequestRefused: A stage answers with no table, or not with a row for each row; or a
                value does not fit the next version's signature.
            Exception: Any error of MLflow's enforcement or of a version's code.
        """
        *stages, (_, model) = self._versions
        for name, stage in stages:
            self.on_version(name)
            with _noted(name):
                stage.predict(rows)
                answer = ModelPredictions(stage.raw, stage.rows)
                rows = frame_of(stage_table(answer, f"The {name}"))
        self.on_version(_MODEL)
        with _noted(_MODEL):
            model.predict(rows, params or None)
        return model.raw

    def get_raw_model(self) -> "Chain":
        """Return the chain: MLflow's `PyFuncModel.get_raw_model` calls this."""
        return self


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> Chain:  # noqa: ARG001
    """Load each version as its host would; called by MLflow.

    `frameworks.load` reads the version's own configuration, so MLflow's argument is not used.
    """
    chain = Path(path)
    names = [*(f"stage {name}" for name in member_names(chain)[:-1]), _MODEL]
    versions = []
    for name, folder in zip(names, member_folders(chain), strict=True):
        with _noted(name):
            versions.append((name, frameworks.load(folder)))
    return Chain(versions)


@contextmanager
def _noted(name: str) -> Iterator[None]:
    """Note on an error of the block which version raised it."""
    try:
        yield
    except Exception as error:
        note_origin(error, name)
        raise
