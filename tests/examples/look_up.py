"""Materializes and looks up day by day, in Feast's environment.

`python look_up.py VERSION FEATURE_REPO TABLE OUTPUT`: the rows of a table with a `flight_date`.
"""

import sys
import warnings
from datetime import timedelta

import mlflow
import pandas as pd
from feast import FeatureStore


def main(version: str, repo: str, table: str, output: str) -> None:
    store = FeatureStore(repo_path=repo)
    stage, found = None, []
    for day, rows in pd.read_parquet(table).groupby("flight_date"):
        store.materialize(day.to_pydatetime(), day + timedelta(hours=23, minutes=59))
        if stage is None:
            stage = mlflow.pyfunc.load_model(version, model_config=_config(version, repo))
        found.append(stage.predict(rows.drop(columns="flight_date")))
    pd.concat(found).to_parquet(output)


def _config(version: str, repo: str) -> dict[str, object]:
    promised = mlflow.models.get_model_info(version).flavors["python_function"]["config"]
    return promised | {"feature_repo": repo}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
