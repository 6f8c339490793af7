"""Loads a chain of versions as one MLflow model; `cloche/registry/stage_chain.py` writes them."""

from pathlib import Path
from typing import Any

from mlflow.pyfunc import PyFuncModel

from cloche.registry.stage_chain import member_folders
from cloche.serving.host import frameworks
from cloche.serving.host.predictors.prediction_writer import ModelPredictions
from cloche.serving.host.stages import stage_table


class Chain:
    """Versions that score a table one after the other."""

    def __init__(self, models: list[PyFuncModel]) -> None:
        self._models = models

    def predict(self, rows: Any, params: dict[str, Any] | None = None) -> Any:
        """Return what the last version answers to the rows that the others prepared.

        Raises:
            RequestRefused: A stage answers with no table, or not with a row for each row.
            Exception: Any error of MLflow's enforcement or of a version's code.
        """
        *stages, model = self._models
        for stage in stages:
            count = len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)
            rows = stage_table(ModelPredictions(stage.predict(rows), count)).to_pandas()
        return model.predict(rows, params) if params else model.predict(rows)


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> Chain:  # noqa: ARG001
    """Load each version for MLflow, as its host would, which reads the configuration itself."""
    return Chain([frameworks.load(folder) for folder in member_folders(Path(path))])
