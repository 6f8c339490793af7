"""The server of the contender FastAPI, written as in tutorials.

It is started as `python -m benchmarks.contenders.fastapi_server URI PORT`.
"""

import sys
from typing import Any

import mlflow.pyfunc
import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Split(BaseModel):
    """A table by rows."""

    columns: list[str]
    data: list[list[Any]]


class Body(BaseModel):
    """What is sent."""

    dataframe_split: Split


@app.get("/ready")
def ready() -> str:
    """The model is loaded before the server starts."""
    return "ok"


@app.post("/invocations")
def invocations(body: Body) -> dict[str, Any]:
    """Predictions for the rows."""
    table = pd.DataFrame(body.dataframe_split.data, columns=body.dataframe_split.columns)
    predictions = model.predict(table)
    if isinstance(predictions, pd.DataFrame):
        return {"predictions": predictions.to_dict(orient="records")}
    return {"predictions": predictions.tolist()}


if __name__ == "__main__":
    model = mlflow.pyfunc.load_model(sys.argv[1])
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
