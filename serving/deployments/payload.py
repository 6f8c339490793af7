"""Encoding of the inputs of `predict` as a request body. Pure."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
from mlflow.utils.proto_json_utils import NumpyEncoder
from scipy import sparse

# The keys of MLflow's scoring protocol, and of its unified LLM format.
_BODIES = {"dataframe_split", "dataframe_records", "instances", "inputs", "messages", "prompt"}


def encode(inputs: Any) -> bytes:
    """Encode the body of a request to `/invocations`."""
    if isinstance(inputs, (str, bytes)):
        return inputs.encode() if isinstance(inputs, str) else inputs
    return json.dumps(_body(inputs), cls=NumpyEncoder).encode()


def _body(inputs: Any) -> Any:
    if isinstance(inputs, pd.DataFrame):
        present = inputs.astype(object).where(inputs.notna(), None)
        # Without the index, which the model does not receive, the server reads the rows faster.
        return {"dataframe_split": present.to_dict(orient="split", index=False)}
    if isinstance(inputs, Mapping) and not _BODIES.isdisjoint(inputs):
        return dict(inputs)
    if sparse.issparse(inputs):
        inputs = inputs.toarray()
    return {"inputs": inputs}
