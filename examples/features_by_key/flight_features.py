"""The stage that looks a flight's features up by its keys: an MLflow model from code.

Training joins the same features, and arranges them by the same `prepared`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from feast import FeatureStore
from mlflow.pyfunc import PythonModel, PythonModelContext

KEYS = ["carrier", "flight", "origin", "destination", "hour"]
PASSED_ON = ["carrier", "origin", "destination"]


def promised(store: FeatureStore) -> list[str]:
    """Return the features of the service as it is defined now, like `weather:temperature`."""
    views = store.get_feature_service("flight_features").feature_view_projections
    return [f"{view.name}:{feature.name}" for view in views for feature in view.features]


def column(feature: str) -> str:
    """Return the name of a feature's column."""
    return feature.partition(":")[2]


def unavailable(store: FeatureStore, features: Sequence[str]) -> list[str]:
    """Return the features that cannot be looked up online, each with the reason."""
    views = {view.name: view for view in store.list_feature_views()}
    reasons = []
    for feature in features:
        view = views.get(feature.partition(":")[0])
        if view is None or column(feature) not in {one.name for one in view.features}:
            reasons.append(f"{feature} (unknown)")
        elif not view.online:
            reasons.append(f"{feature} (not online)")
        elif not view.materialization_intervals:
            reasons.append(f"{feature} (not materialized)")
    return reasons


def prepared(
    flights: pd.DataFrame, found: Mapping[str, Any], features: Sequence[str]
) -> pd.DataFrame:
    """Return what the model takes: some of the keys, and features as numbers or gaps."""
    keys = {key: flights[key].to_numpy() for key in PASSED_ON}
    numbers = {name: np.asarray(found[name], "float64") for name in map(column, features)}
    return pd.DataFrame(keys | numbers, index=flights.index)


class FlightFeatures(PythonModel):
    """Looks features up in the online store."""

    def load_context(self, context: PythonModelContext) -> None:
        """Connect to the store, and check that it has all that this version promises."""
        self._store = FeatureStore(repo_path=context.model_config["feature_repo"])
        self._features = context.model_config["features"]
        if reasons := unavailable(self._store, self._features):
            raise LookupError(f"The online store lacks {', '.join(reasons)}.")

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Answer each flight with its features, where the store has them."""
        keys = model_input[KEYS].to_dict("list")
        found = self._store.get_online_features(features=self._features, entity_rows=keys)
        return prepared(model_input, found.to_dict(), self._features)


mlflow.models.set_model(FlightFeatures())
