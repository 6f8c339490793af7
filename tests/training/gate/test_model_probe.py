"""What the probe hands to a model, and what it makes of the answers; in this process, for speed."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import ColSpec, Schema, TensorSpec

from cloche.training.gate.model_probe import (
    Report,
    StageError,
    model_rows,
    one_row_latency,
    time_on_core,
)


def with_signature(schema: Schema | None) -> Model:
    return Model(signature=ModelSignature(schema) if schema else None)


WIND, HOUR = ColSpec("double", "wind"), ColSpec("double", "hour")
RAIN = ColSpec("double", "rain", required=False)


@pytest.mark.parametrize(
    ("schema", "features", "given"),
    [
        (Schema([WIND, HOUR]), [], ["wind", "hour"]),
        (Schema([WIND, RAIN]), [], ["wind"]),  # the holdout lacks an optional column
        (None, [], ["hour", "wind", "gust", "origin"]),
        (None, ["gust"], ["gust"]),
    ],
)
def test_a_model_gets_the_columns_that_it_names_or_all_and_never_the_target(
    schema, features, given, holdout
):
    assert list(model_rows(holdout, with_signature(schema), "late", features)) == given


def test_a_model_of_tensors_gets_numbers_of_its_type(holdout):
    schema = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
    rows = model_rows(holdout, with_signature(schema), "late", ["hour", "wind"])
    assert set(rows.dtypes) == {np.dtype("float32")}


def test_columns_that_a_file_made_wider_or_plainer_get_their_type_again():
    read = pd.DataFrame(
        {
            "count": [1, 2], "whole": [1.0, 2.0], "share": [0.5, 0.25],
            "day": ["2013-01-01", "2013-01-02"], "name": ["a", "b"],
        }
    )  # fmt: skip
    schema = Schema(
        [
            ColSpec("integer", "count"), ColSpec("long", "whole"), ColSpec("float", "share"),
            ColSpec("datetime", "day"), ColSpec("string", "name"),
        ]
    )  # fmt: skip
    rows = model_rows(read, with_signature(schema), "target", [])
    kinds = ["int32", "int64", "float32", "datetime64[ns]"]
    assert [str(kind) for kind in rows.dtypes][:4] == kinds
    assert rows["name"].tolist() == ["a", "b"]


@pytest.mark.parametrize("values", [[1.5, 2.0], [2**40, 1], [1.0, None]])
def test_a_value_that_would_change_keeps_the_columns_type_for_mlflow_to_judge(values):
    read = pd.DataFrame({"count": values})
    schema = Schema([ColSpec("integer", "count")])
    rows = model_rows(read, with_signature(schema), "target", [])
    assert rows["count"].dtype == read["count"].dtype


def test_latency_is_the_median_of_single_rows_by_what_the_clock_tells():
    class Model:
        def predict(self, rows):
            assert len(rows) == 1

    clock = itertools.cycle([0, 0.001, 0, 0.002, 0, 0.009])
    rows = pd.DataFrame({"hour": range(100)})
    assert one_row_latency(Model(), rows, clock.__next__) == 2


@pytest.fixture
def shared_core():
    """One core, for this thread and for a process that never rests."""
    if not Path("/proc/thread-self/schedstat").exists():
        pytest.skip("only Linux tells how long a thread waited for a core")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    busy = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    )
    busy.stdout.readline()
    yield
    os.sched_setaffinity(0, cores)
    busy.kill()
    busy.communicate()


def test_waiting_for_a_core_is_no_time_of_the_model(shared_core):
    started, on_core = perf_counter(), time_on_core()
    while perf_counter() - started < 0.2:
        pass
    on_core = time_on_core() - on_core
    assert on_core < perf_counter() - started


def test_a_report_is_on_disk_after_each_stage_and_a_failure_is_a_result(tmp_path):
    path = tmp_path / "report.json"
    report = Report(tmp_path)
    assert report.stage("load", lambda: "model") == "model"
    assert json.loads(path.read_text()) == {"failures": {}, "stage": "load"}

    def boom():
        raise ImportError("no xgboost")

    with pytest.raises(StageError):
        report.stage("predict", boom)
    assert json.loads(path.read_text()) == {
        "failures": {"predict": "ImportError: no xgboost"},
        "stage": "predict",
    }
