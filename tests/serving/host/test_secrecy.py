"""The log says where a model failed, and nothing of what it was asked."""

import itertools
import json
import logging

import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, Schema

from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Item

SCHEMA = Schema([ColSpec("string", "name"), ColSpec("double", "income")])


class Talkative:
    def __init__(self, say):
        self._say = say

    def predict(self, rows):
        return self._say(rows)


def fail(said):
    raise ValueError(said)


@pytest.mark.parametrize(
    "say",
    [
        lambda rows: fail(f"cannot score {rows}"),
        lambda rows: fail(f"cannot score {rows.to_dict('records')}"),
        lambda rows: rows["name"].astype("float64"),
        lambda rows: {}[rows["name"].iloc[0]],
        lambda rows: [object()],
        lambda rows: pd.DataFrame({"a": [rows]}),
    ],
)
def test_neither_log_nor_answer_shows_what_was_asked(say, caplog):
    caplog.set_level(logging.DEBUG)
    columns = {"name": ["Alice Liddell"], "income": [51234.5]}
    tensors = [
        {"name": name, "datatype": kind, "shape": [1], "data": columns[name]}
        for name, kind in (("name", "BYTES"), ("income", "FP64"))
    ]
    protocols = ("mlflow", "tf_serving", "open_inference", "torchserve")
    for protocol, planned in itertools.product(protocols, (True, False)):
        model = PyFuncModel(Model(signature=ModelSignature(SCHEMA)), Talkative(say))
        decoder = compile_decoder(model.metadata) if planned else None
        scorer = HostScorer(model, decoder, None, name="m", version="1")
        body = json.dumps({"inputs": tensors if protocol == "open_inference" else columns}).encode()
        caplog.clear()
        (answer,) = scorer.score([Item("application/json", body, protocol=protocol)]).answers
        seen = f"{caplog.text} {answer.body.decode()}"
        if answer.status != 200:
            assert "line" in caplog.text, "it says where"
            assert not [secret for secret in ("Alice", "Liddell", "51234") if secret in seen]
