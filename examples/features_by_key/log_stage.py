"""Log and register the stage: `python log_stage.py FEATURE_REPO`."""

import sys
from pathlib import Path

import mlflow
import pandas as pd
from feast import FeatureStore
from flight_features import KEYS, PASSED_ON, column, promised
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

HERE = Path(__file__).parent


def main(repo: Path) -> None:
    """Register a version that promises the features of the service as it is defined now."""
    features = promised(FeatureStore(repo_path=repo))
    keys = [ColSpec("long" if key == "flight" else "string", key) for key in KEYS]
    answers = [
        *(ColSpec("string", key) for key in PASSED_ON),
        *(ColSpec("double", column(feature)) for feature in features),
    ]
    mlflow.pyfunc.log_model(
        name="flight-features",
        python_model=HERE / "flight_features.py",
        model_config={"feature_repo": str(repo.resolve()), "features": features},
        signature=ModelSignature(Schema(keys), Schema(answers)),
        input_example=pd.DataFrame([["UA", 1545, "EWR", "IAH", "2013-01-14T05"]], columns=KEYS),
        pip_requirements=str(HERE / "requirements.txt"),
        registered_model_name="flight-features",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
