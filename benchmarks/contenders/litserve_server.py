"""The server of the contender LitServe.

It is started as `python -m benchmarks.contenders.litserve_server URI PORT`.
"""

import sys
from typing import Any

import litserve
import mlflow.pyfunc
import pandas as pd


class Pipeline(litserve.LitAPI):
    """A server of one registered model that predicts waiting requests together."""

    def __init__(self, uri: str) -> None:
        super().__init__(max_batch_size=512, batch_timeout=0.005)
        self._uri = uri

    def setup(self, device: str) -> None:  # noqa: ARG002  # LitServe's signature
        """Load the model in the worker process."""
        self._model = mlflow.pyfunc.load_model(self._uri)

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the rows and column names of a request."""
        split: dict[str, Any] = request["dataframe_split"]
        return split

    def batch(self, inputs: list[dict[str, Any]]) -> tuple[pd.DataFrame, list[int]]:
        """Join requests into one table; return it with the number of rows of each request."""
        rows = [row for one in inputs for row in one["data"]]
        return pd.DataFrame(rows, columns=inputs[0]["columns"]), [
            len(one["data"]) for one in inputs
        ]

    def predict(self, x: tuple[pd.DataFrame, list[int]]) -> tuple[list[Any], list[int]]:
        """Predict all rows of the table."""
        predictions = self._model.predict(x[0])
        if isinstance(predictions, pd.DataFrame):
            return predictions.to_dict(orient="records"), x[1]
        return predictions.tolist(), x[1]

    def unbatch(self, output: tuple[list[Any], list[int]]) -> list[list[Any]]:
        """Split the predictions by request."""
        predictions, counts = output
        parts, start = [], 0
        for count in counts:
            parts.append(predictions[start : start + count])
            start += count
        return parts

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """Return the response body in MLflow's format."""
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(Pipeline(sys.argv[1]), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning"
    )
