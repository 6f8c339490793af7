"""A stage that this process has loaded, which prepares tables for the version after it."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from cloche.serving.host import frameworks
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.predictors.prediction_writer import ModelPredictions
from cloche.serving.host.staged_requests import frame_of, stage_table


class LoadedStage:
    """A stage in this process."""

    def __init__(self, name: str, folder: Path) -> None:
        """Load the stage.

        Args:
            name: `stage NAME VERSION`, for messages.
            folder: Its artifacts.

        Raises:
            Exception: Any error of MLflow or of the stage's code while loading.
        """
        self._name = name
        self._model = InstrumentedModel(frameworks.load(folder))

    def prepare(self, rows: Any) -> pa.Table:
        """Return the table that the stage answers.

        Args:
            rows: The table of the stage before, or what the chain was called with.

        Raises:
            RequestRefused: The answer is no table with a row for each row.
            Exception: Any error of MLflow's enforcement or of the stage's code.
        """
        self._model.predict(as_frame(rows))
        answer = ModelPredictions(self._model.raw, self._model.rows)
        return stage_table(answer, f"The {self._name}")


def as_frame(rows: Any) -> Any:
    """Return rows as a version takes them: the table of a stage becomes a data frame."""
    return frame_of(rows) if isinstance(rows, pa.Table) else rows
