"""What a caller gives to `predict`, as the body of a request. Pure."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
from mlflow.utils.proto_json_utils import NumpyEncoder
from scipy import sparse

# The keys of the scoring protocol, and of the unified LLM form.
_BODIES = {"dataframe_split", "dataframe_records", "instances", "inputs", "messages", "prompt"}


def encode(inputs: Any) -> bytes:
    """A body for `/invocations`.

    Args:
        inputs: A DataFrame, an array or list, arrays by name, or a body as an object or as text.
    """
    if isinstance(inputs, (str, bytes)):
        return inputs.encode() if isinstance(inputs, str) else inputs
    return json.dumps(_body(inputs), cls=NumpyEncoder).encode()


def _body(inputs: Any) -> Any:
    if isinstance(inputs, pd.DataFrame):
        present = inputs.astype(object).where(inputs.notna(), None)
        # no index: a model gets none, and rows are read faster without
        return {"dataframe_split": present.to_dict(orient="split", index=False)}
    if isinstance(inputs, Mapping) and not _BODIES.isdisjoint(inputs):
        return dict(inputs)
    if sparse.issparse(inputs):
        inputs = inputs.toarray()
    return {"inputs": inputs}
