"""The service of the contender BentoML, written as in BentoML's guide to adaptive batching."""

from typing import Any

import bentoml
import mlflow.pyfunc
import pandas as pd

_URI = bentoml.use_arguments().uri


@bentoml.service(workers=1, traffic={"timeout": 60})
class Pipeline:
    """One registered model; requests that come close together are predicted together."""

    def __init__(self) -> None:
        self._model = mlflow.pyfunc.load_model(_URI)

    @bentoml.api(batchable=True, max_batch_size=512, max_latency_ms=60_000)
    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        """A prediction for each row; BentoML joins and splits the lists."""
        predictions = self._model.predict(pd.DataFrame(rows))
        if isinstance(predictions, pd.DataFrame):
            return predictions.to_dict(orient="records")
        found: list[Any] = predictions.tolist()
        return found
