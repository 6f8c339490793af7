"""The model of the measurements.

12 columns, 8 numeric and 4 categorical, and histogram gradient boosting.
"""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

_TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "numpy.dtype"]


def register(directory: Path) -> tuple[str, str, Path]:
    """Register it in a registry of its own.

    The registry's URI, the model's URI, and one row as a body.
    """
    random = np.random.default_rng(0)
    rows = 5000
    numbers = {f"n{i}": random.normal(size=rows) for i in range(8)}
    words = {f"c{i}": random.choice(["alpha", "beta", "gamma", "delta"], rows) for i in range(4)}
    table = pd.DataFrame({**numbers, **words})
    target = table.n0 + (table.c0 == "alpha") + random.normal(size=rows) > 0
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, list(words)), remainder="passthrough")
    model = make_pipeline(columns, HistGradientBoostingClassifier(random_state=0))
    model.fit(table, target.astype(int))
    registry = f"sqlite:///{directory / 'mlflow.db'}"
    mlflow.set_tracking_uri(registry)
    path = directory / "model"
    signature = infer_signature(table, model.predict(table))
    mlflow.sklearn.save_model(
        model, path, signature=signature, input_example=table[:1], skops_trusted_types=_TRUSTED
    )
    client = mlflow.MlflowClient()
    client.create_registered_model("twelve")
    client.create_model_version("twelve", source=str(path))
    client.set_registered_model_alias("twelve", "production", "1")
    body = directory / "row.json"
    split = table[:1].to_dict(orient="split", index=False)
    body.write_text(json.dumps({"dataframe_split": split}))
    return registry, "models:/twelve@production", body
