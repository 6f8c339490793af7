"""The bodies of the differential test in this process.

Those that are scored together are answered as each is alone, and what is refused in the protocols
that the differential test does not ask is told what is wrong.
"""

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, Schema

from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Item
from tests.protocol.bodies import JSON, bodies_for
from tests.protocol.differences import MOST_GENERAL, is_general
from tests.protocol.kinds import KINDS, each_kind

pytestmark = pytest.mark.filterwarnings("ignore")  # what models and pandas say of nonsense


def scorer(path: Path) -> HostScorer:
    model = mlflow.pyfunc.load_model(str(path))
    return HostScorer(model, compile_decoder(model.metadata), twin=None)


@each_kind
def test_neighbours_in_a_batch_change_nothing(zoo: Path, kind: str) -> None:
    scoring, sent = scorer(zoo / kind), bodies_for(kind)
    together = scoring.score([Item(*body) for body in sent]).answers
    wrong = [
        (body, alone, joined)
        for body, joined in zip(sent, together, strict=True)
        if (alone := scoring.score([Item(*body)]).answers[0]) != joined
    ]
    assert not wrong


class Numbers:
    """A model that answers with the index of its rows."""

    def predict(self, rows: pd.DataFrame) -> list[str]:
        return [str(one) for one in rows.index]


@pytest.mark.parametrize(
    ("index", "expected"), [([0, 1], ["0", "1"]), ([7, 9], ["7", "9"]), (["a", "a"], ["a", "a"])]
)
def test_a_model_gets_the_index_that_mlflow_gives_it(index: list[object], expected: object) -> None:
    metadata = Model(signature=ModelSignature(Schema([ColSpec("double", "a")])))
    scoring = HostScorer(PyFuncModel(metadata, Numbers()), compile_decoder(metadata), twin=None)
    split = {"columns": ["a", "id"], "data": [[1.5, "x"], [2.5, "y"]], "index": index}
    item = Item(JSON, json.dumps({"dataframe_split": split}).encode())
    (answer,) = scoring.score([item]).answers
    assert json.loads(answer.body) == {"predictions": expected}


@pytest.mark.parametrize("protocol", ["tf_serving", "torchserve"])
@pytest.mark.parametrize(
    "kind",
    [pytest.param(one, marks=[] if one == "nested" else pytest.mark.breadth) for one in KINDS],
)
def test_a_refusal_says_what_is_wrong(kind: str, protocol: str, zoo: Path) -> None:
    items = [
        Item(content_type, body, "", protocol)
        for content_type, body in bodies_for(kind)
        if protocol == "torchserve" or content_type == JSON
    ]
    scoring = scorer(zoo / kind)
    answers = [answer for item in items for answer in scoring.score([item]).answers]
    said = [json.loads(one.body) for one in answers if one.status == 400]
    messages = [one.get("message", "") or one["error"] for one in said]
    general = [message for message in messages if is_general(message)]
    assert len(general) <= MOST_GENERAL * len(messages)
    assert not any("secret" in message for message in messages)
