"""How many threads a host's libraries get."""

from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from onnx import TensorProto, helper

from cloche.serving.host import frameworks
from cloche.serving.processes import thread_limits


def test_what_the_operator_set_stays_and_the_rest_is_shared_out() -> None:
    sized = thread_limits.sized({"OMP_NUM_THREADS": "8"}, 2)
    assert "OMP_NUM_THREADS" not in sized
    assert sized["TF_NUM_INTRAOP_THREADS"] == sized["MKL_NUM_THREADS"] == "2"


@pytest.mark.parametrize(("said", "share"), [("3", 3), ("3,2", 3)])
def test_the_share_is_what_openmp_was_told(
    monkeypatch: pytest.MonkeyPatch, said: str, share: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert thread_limits.share() == share


@pytest.mark.parametrize(("options", "found"), [({}, 3), ({"intra_op_num_threads": 2}, 2)])
def test_an_onnx_model_gets_the_share_unless_it_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, int], found: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    signature = ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1,))]))
    mlflow.onnx.save_model(
        model, tmp_path / "model", signature=signature, pip_requirements=[],
        onnx_session_options=options,
    )  # fmt: skip
    session = frameworks.load(tmp_path / "model").get_raw_model()
    assert session.get_session_options().intra_op_num_threads == found
