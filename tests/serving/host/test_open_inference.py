"""What clients of the Open Inference Protocol put into a request beside its tensors."""

import json
from typing import Any

from mlflow.types import ColSpec

from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.parsing.content_types import JSON
from cloche.serving.processes.frames import Item
from tests.serving.host.test_diagnosis import scorer

TENSOR = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}


def ask(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    content = json.dumps({"inputs": [TENSOR]} | body).encode()
    item = Item(JSON, content, "", "open_inference")
    (answer,) = scorer(ColSpec("double", "x")).score([item]).answers
    return answer.status, json.loads(bytes(answer.body))


def test_an_id_of_null_is_none_and_another_than_text_is_refused_by_its_kind() -> None:
    status, answer = ask({"id": None})
    assert (status, "id" in answer) == (200, False)
    assert ask({"id": 5}) == (400, {"error": "id must be a string; it is a whole number."})


def test_tritons_class_count_is_refused_and_not_ignored() -> None:
    request = message("ModelInferRequest")(model_name="m")
    tensor = request.inputs.add(name="x", datatype="FP64", shape=[1])
    tensor.contents.fp64_contents.append(1.5)
    request.outputs.add(name="predict").parameters["classification"].int64_param = 3
    item = Item("", request.SerializeToString(), "", "open_inference_grpc")
    (told,) = scorer(ColSpec("double", "x")).score([item]).answers
    said = "Output 'predict': the classification extension (class_count"
    assert bytes(told.body).decode().startswith(said)
