"""A model's own MlflowException is the model's failure, and MLflow's is not."""

import json
import logging
from itertools import product

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PyFuncModel, PythonModel
from mlflow.types import ColSpec, Schema

from cloche.serving.host.answers.error_origin import raised_by_model
from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Item
from cloche.values.redaction import describe_error

SIGNATURE = ModelSignature(Schema([ColSpec("double", "income")]))
ERRORS = [
    MlflowException("no offers below a thousand"),
    MlflowException("no offers below a thousand", INVALID_PARAMETER_VALUE),
    MlflowException.invalid_parameter_value("no offers below a thousand"),
]


class Refusing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def predict(self, _: object) -> object:
        raise self._error


def bodies() -> dict[str, bytes]:
    tensor = {"name": "income", "datatype": "FP64", "shape": [1], "data": [512.5]}
    request = message("ModelInferRequest")(model_name="m")
    inputs = request.inputs.add(name="income", datatype="FP64", shape=[1])
    inputs.contents.fp64_contents.append(512.5)
    column = json.dumps({"inputs": {"income": [512.5]}}).encode()
    return dict.fromkeys(("mlflow", "tf_serving", "torchserve"), column) | {
        "open_inference": json.dumps({"inputs": [tensor]}).encode(),
        "open_inference_grpc": request.SerializeToString(),
    }


@pytest.mark.parametrize("error", ERRORS, ids=["500", "400", "by MLflow's own helper"])
def test_what_a_model_raises_is_told_and_logged_as_its_refusal(
    error: MlflowException, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for signature, (protocol, body) in product((SIGNATURE, None), bodies().items()):
        model = PyFuncModel(Model(signature=signature), Refusing(error))
        scorer = HostScorer(model, compile_decoder(model.metadata), None, name="m", version="1")
        caplog.clear()
        item = Item(
            "" if protocol == "open_inference_grpc" else "application/json", body, protocol=protocol
        )
        (answer,) = scorer.score([item]).answers
        assert answer.status == error.get_http_status_code(), protocol
        assert b"The model refused this request" in answer.body
        assert b"offers" not in answer.body
        assert "MlflowException: no offers below a thousand" in caplog.text
        assert "512" not in caplog.text


def raised(model: PyFuncModel, data: object) -> Exception:
    with pytest.raises(MlflowException) as caught:
        model.predict(data)
    return caught.value


class Hinted(PythonModel):
    def predict(self, model_input: list[int]) -> list[int]:
        return model_input


def test_what_mlflow_refuses_on_the_way_is_not_the_models() -> None:
    enforced = PyFuncModel(Model(signature=SIGNATURE), Refusing(ERRORS[0]))
    for table in ({"income": ["much"]}, {"another": [1.0]}):
        assert not raised_by_model(raised(enforced, pd.DataFrame(table)))
    assert not raised_by_model(raised(PyFuncModel(Model(), Hinted()), ["a word"]))
    assert raised_by_model(raised(enforced, pd.DataFrame({"income": [1.0]})))


def test_the_words_of_a_model_are_kept_without_the_rows_that_mlflow_puts_before_them() -> None:
    error = MlflowException("no offers below a thousand")
    error.message = f"Failed to predict data 'Alice'. \nError: {error.message}"
    assert describe_error(error) == "MlflowException: no offers below a thousand"
