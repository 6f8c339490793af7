"""Registers what the page is looked at with: `python make_models.py DATABASE_URI ARTIFACTS`.

FLIGHTS has two versions, tags, evidence and a profile, and puts HTML wherever somebody could have
written it. COMMENTS is one text.
"""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel

from tests.page.names import COMMENTS, EVIDENCE, FLIGHTS, HTML, INHERITED, ODD, PROFILE


class Version(PythonModel):
    """Answers with its number and with what it was given."""

    def __init__(self, number: int) -> None:
        self.number = number

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        remarks = model_input.iloc[:, -1]
        late = [float(self.number) * params["factor"] / 10] * len(model_input) if params else 0.5
        return pd.DataFrame({"told": [f"{HTML}{one}" for one in remarks], "probability": late})


def register_flights(client: mlflow.MlflowClient, artifacts: Path) -> None:
    row = pd.DataFrame(
        {
            "carrier": ["UA"], "destination": ["IAH"], ODD: [1416], "cancelled": [False],
            "at": [pd.Timestamp("2013-01-01 05:15:00")], "temperature": [39.5],
            **{name: ["usual"] for name in INHERITED}, "remark": ["all is well"],
        }
    )  # fmt: skip
    answer = pd.DataFrame({"told": [""], "probability": [0.5]})
    profile = artifacts / "profile.json"
    profile.write_text(json.dumps(PROFILE))
    run = client.create_run("0").info.run_id
    client.log_dict(run, EVIDENCE, "evidence.json")
    client.create_registered_model(FLIGHTS)
    for number in (1, 2):
        path = artifacts / f"flights-{number}"
        mlflow.pyfunc.save_model(
            path, python_model=Version(number), input_example=row,
            signature=infer_signature(row, answer, params={"factor": 1.0}),
            artifacts={"profile": str(profile)}, pip_requirements=["mlflow"],
        )  # fmt: skip
        client.create_model_version(FLIGHTS, source=str(path))
        for tag, value in (
            ("gate", "passed"), ("gate_run_id", run), ("promoted_at", EVIDENCE["judged_at"]),
            ("promoted_by", HTML), ("reason", f"the {number}. of them"),
        ):  # fmt: skip
            client.set_model_version_tag(FLIGHTS, str(number), f"cloche.{tag}", value)


def register_comments(client: mlflow.MlflowClient, artifacts: Path) -> None:
    row = pd.DataFrame({"text": ["well said"]})
    path = artifacts / "comments"
    mlflow.pyfunc.save_model(
        path, python_model=Version(1), signature=infer_signature(row), pip_requirements=["mlflow"]
    )
    client.create_registered_model(COMMENTS)
    client.create_model_version(COMMENTS, source=str(path))


if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True)
    register_flights(mlflow.MlflowClient(), folder)
    register_comments(mlflow.MlflowClient(), folder)
