"""How many threads a host's libraries get."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import mlflow
import numpy as np
import pandas as pd
import pytest
import sklearn.ensemble  # noqa: F401  # loads OpenMP
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types import Schema, TensorSpec
from onnx import TensorProto, helper
from threadpoolctl import threadpool_info, threadpool_limits

from cloche.serving.host import frameworks
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.processes import thread_limits

LARGE = "CLOCHE_LARGE_BATCH_THREADS"


def test_what_the_operator_set_stays_and_the_rest_is_shared_out() -> None:
    sized = thread_limits.thread_variables({"OMP_NUM_THREADS": "8"}, 2)
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


def test_a_batch_of_many_rows_may_use_the_fronts_core_unless_the_operator_limits_it() -> None:
    assert (
        thread_limits.thread_variables({}, 1, 2).items()
        >= {LARGE: "2", "OMP_NUM_THREADS": "1"}.items()
    )
    assert LARGE not in thread_limits.thread_variables({}, 1, 1)
    assert LARGE not in thread_limits.thread_variables({"OMP_NUM_THREADS": "1"}, 1, 2)


@pytest.mark.parametrize(("rows", "threads"), [(9_999, 1), (10_000, 3)])
def test_the_model_is_asked_with_more_threads_for_many_rows(
    monkeypatch: pytest.MonkeyPatch, rows: int, threads: int
) -> None:
    monkeypatch.setenv(LARGE, "3")

    def predict(_: Any, **__: Any) -> int:
        return max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "openmp")

    stub = SimpleNamespace(predict=predict, _predict_fn=predict, metadata=Model())
    model, table = InstrumentedModel(cast("PyFuncModel", stub)), pd.DataFrame({"a": range(rows)})
    with threadpool_limits(1):
        model.predict(table)
        assert (model.raw, model.predict_enforced(table, None)) == (threads, threads)
        assert predict(table) == 1
