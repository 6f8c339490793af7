"""The server that people put before a model: it prepares rows, and forwards them over HTTP.

It is started as `python preparing_server.py STAGE_FOLDER PORT URL_OF_THE_MODEL`.
"""

import sys
import threading
from typing import Any

import mlflow.pyfunc
import pandas as pd
import requests
import uvicorn
from fastapi import FastAPI

app = FastAPI()
local = threading.local()


@app.get("/readyz")
def ready() -> str:
    """The stage is loaded before the server starts."""
    return "ok"


@app.post("/invocations")
def invocations(body: dict[str, Any]) -> Any:
    """The model's predictions for the prepared rows."""
    prepared = stage.predict(pd.DataFrame(body["dataframe_records"]))
    if not hasattr(local, "session"):
        local.session = requests.Session()
    forwarded = prepared.astype(object).where(prepared.notna(), None)
    answer = local.session.post(
        f"{sys.argv[3]}/invocations", json={"dataframe_records": forwarded.to_dict("records")}
    )
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    stage = mlflow.pyfunc.load_model(sys.argv[1])
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
