"""What executors do to a part, stage after stage, without Spark between them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import Model
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import Array, DataType

from cloche.serving.batch import resume_checks
from cloche.serving.batch.input import inputs as supply
from cloche.serving.batch.input.partitions import Partitioner
from cloche.serving.batch.job.options import JobOptions
from cloche.serving.batch.job.part import FinishedPart
from cloche.serving.batch.output import layout
from cloche.serving.batch.scoring.worker import Worker
from cloche.serving.batch.spark import safe_model
from cloche.serving.batch.spark.columns import SparkColumns
from cloche.serving.batch.spark.read_stage import ReadStage
from cloche.serving.batch.spark.write_stage import WriteStage
from cloche.serving.batch.version_pinning import pin
from tests import stand_in_environments
from tests.lifecycle import make_stages
from tests.serving.batch.conftest import table
from tests.serving.batch.make_models import PICKY
from tests.serving.batch.test_run import WRITERS
from tests.serving.batch.test_stages import cleaner

pytestmark = pytest.mark.xdist_group("batch")

INPUTS = Schema([ColSpec("double", "a"), ColSpec("long", "b")])


@pytest.mark.parametrize(
    ("tensor", "ddl"),
    [
        (TensorSpec(np.dtype("float64"), (-1,)), "o0 double, refused string, message string"),
        (TensorSpec(np.dtype("float32"), (-1, 2)), "o0 float, o1 float, refused string, "
         "message string"),
    ],
    ids=["a bare tensor is one", "a matrix is as many as its signature says"],
)  # fmt: skip
def test_a_tensor_is_columns(tensor, ddl):
    assert SparkColumns.of(INPUTS, Schema([tensor])).answer_ddl == ddl


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (None, Schema([ColSpec("long")])),
        (INPUTS, None),
        (INPUTS, Schema([TensorSpec(np.dtype("float64"), (-1, -1))])),
        (INPUTS, Schema([ColSpec("datetime", "when")])),
        (Schema([ColSpec(Array(DataType.double), "a")]), Schema([ColSpec("long")])),
        (Schema([TensorSpec(np.dtype("float64"), (-1, 3))]), Schema([ColSpec("long")])),
    ],
)
def test_rows_stay_out_of_spark_where_the_signature_leaves_columns_open(inputs, outputs):
    columns = SparkColumns.of(inputs, outputs)
    assert not columns.whole
    assert columns.answer_ddl == "refused string, message string"


class Stages:
    """A worker, and the stages, each with a directory of its own."""

    def __init__(
        self, source: Path, model: Path, folder: Path, python: str = "", **options: Any
    ) -> None:
        request = JobOptions(model=str(model), cache=folder / "cache", part_rows=100, **options)
        given = supply.Files(str(source), None)
        job = resume_checks.pin_job(request, given, layout.describe(f"{folder}/out/", None), print)
        self.here, self.there, spool = (folder / name for name in ("here", "there", "spool"))
        for place in (self.here, self.there, spool):
            place.mkdir()
        schema = Model.load(job.model.path).get_input_schema()
        self.columns = safe_model.columns(Path(job.model.path), python)
        safe_model.save(folder / "model", job, self.there, python)
        self._model = mlflow.pyfunc.load_model(str(folder / "model"))
        self._about = (json.dumps(job.to_json()), schema.to_json(), str(self.there))
        self.parts = list(given.parts(Partitioner(100, spool), frozenset()))
        self.worker = Worker(job, self.here)

    def answer(self, question: dict[str, Any], at_once: int = 1000) -> dict[str, Any]:
        """What the last stage says about a part, of which the model gets so many rows at once."""
        reading = ReadStage(*self._about, self.columns, [question])
        ids = pa.RecordBatch.from_pydict({"id": [0]})
        rows = pa.Table.from_batches(list(reading.batches(iter([ids]))))
        batches = rows.drop_columns(["head"]).combine_chunks().to_batches(max_chunksize=at_once)
        pieces = [self._model.predict(batch.to_pandas()) for batch in batches]
        answered = pd.concat(pieces, ignore_index=True)
        answer = pa.Table.from_pandas(answered, preserve_index=False).to_struct_array()
        batch = pa.RecordBatch.from_arrays(
            [rows.column("head").combine_chunks(), answer.combine_chunks()], ["head", "answer"]
        )
        (left,) = WriteStage(*self._about).batches(iter([batch]))
        record: dict[str, Any] = json.loads(left.column("record")[0].as_py())
        return record


@pytest.fixture
def stages(made_models: Path, tmp_path: Path) -> Callable[..., Stages]:
    def make(rows: pd.DataFrame, model: str, suffix: str = "parquet", **options: Any) -> Stages:
        source = tmp_path / f"rows.{suffix}"
        WRITERS[suffix](rows, source)
        return Stages(source, made_models / model, tmp_path, **options)

    return make


@pytest.mark.parametrize(
    ("suffix", "behind"),
    [("csv", True),
     *(pytest.param(one, False, marks=[] if one in ("csv", "parquet") else [pytest.mark.breadth])
       for one in WRITERS)],
)  # fmt: skip
def test_the_stages_leave_what_a_worker_leaves(suffix, behind, stages):
    rows = table(250)
    rows.loc[[23, 120], "a"] = PICKY - 1 if behind else PICKY
    before = str(cleaner(1)) if behind else ""
    both = stages(rows, "picky", suffix, keep=True, stamped=True, before=before)
    for part in both.parts:
        here = both.worker.finish(part)
        there = both.answer({"flow": True, "part": part.to_json()})["finished"]
        told = FinishedPart.from_json(there).to_json()
        assert told | {"seconds": 0} == json.loads(json.dumps(here.to_json() | {"seconds": 0}))
    files = {file.name: file.read_bytes() for file in both.here.iterdir()}
    assert {file.name: file.read_bytes() for file in both.there.iterdir()} == files


@pytest.mark.slow
@pytest.mark.breadth
def test_a_process_of_another_environment_leaves_what_a_worker_leaves(stages, tmp_path):
    shared = tmp_path / "environment"
    both = stages(table(100), "plain", "csv", python=str(shared / "bin" / "python"))
    (part,) = both.parts
    question = {"part": part.to_json(), "without": {}, "rows_per_call": None}
    refused = both.answer(question)["failed"]
    assert f"{shared}/bin/python is not on this executor of Spark: --cache-dir, in" in refused
    assert "must lie where all machines see the same files" in refused
    shared.symlink_to(sys.prefix)  # as a file system is mounted
    told = both.answer(question)
    here = both.worker.finish(part)
    assert told["finished"]["data"]["sha256"] == here.data.sha256


@pytest.mark.slow
@pytest.mark.breadth
def test_an_executor_runs_each_version_in_its_environment(tmp_path, monkeypatch):
    stand_in_environments.use(monkeypatch)
    before, model = tmp_path / "s", tmp_path / "m"
    stand_in_environments.save(before, 2, make_stages.STAGE)
    stand_in_environments.save(model, 3, make_stages.MODEL)
    rows = tmp_path / "rows.csv"
    pd.DataFrame({"a": [0.0, 1.0]}).to_csv(rows, index=False)
    chain = Path(pin(str(model), tmp_path / "cache", str(before)).path)
    python = stand_in_environments.interpreter(tmp_path / "cache")(chain)
    both = Stages(rows, model, tmp_path, python, before=str(before), env_manager="uv")
    told = both.answer({"part": both.parts[0].to_json(), "without": {}, "rows_per_call": None})
    scored = pd.read_parquet(both.there / told["finished"]["data"]["name"])
    assert scored["prediction"].tolist() == [2003.0, 3003.0]


def test_an_environment_that_is_not_on_an_executor_is_told_with_what_it_needs(stages):
    both = stages(table(100), "plain", "csv", python="/nowhere/bin/python")
    told = both.answer({"part": both.parts[0].to_json(), "without": {}, "rows_per_call": None})
    assert "/nowhere/bin/python is not on this executor" in told["failed"]
    assert "--cache-dir" in told["failed"]


@pytest.mark.parametrize(
    ("changed", "flows"),
    [
        ({}, True),
        ({"o": [1, 2, 3]}, True),
        ({"double": [0.5, None, 2.5], "string": ["a", None, ""]}, True),
        ({"boolean": [True, None, False]}, False),
    ],
)
def test_the_model_sees_the_types_that_a_worker_shows_it(changed, flows, stages):
    rows = {
        "boolean": [True, False, True], "integer": [1, 2, 3], "long": [1, 2, 1 << 60],
        "float": np.float32([0.1, 0.2, 0.3]), "double": [0.1, 0.2, 0.3],
        "string": ["a", "b", "한국어"], "binary": [b"", b"1", b"\xff"],
        "datetime": pd.to_datetime(["2013-11-01", "2013-11-02 12:00:00.5", None], format="ISO8601"),
    }  # fmt: skip
    both = stages(pd.DataFrame(rows | changed), "kinds")

    there = both.answer({"flow": True, "part": both.parts[0].to_json()})

    assert set(there) == ({"finished"} if flows else {"unfit"})
    if flows:
        both.worker.finish(both.parts[0])
        files = {file.name: file.read_bytes() for file in both.here.iterdir()}
        assert {file.name: file.read_bytes() for file in both.there.iterdir()} == files


def test_an_answer_that_the_signature_did_not_say_is_no_answer(stages):
    both = stages(table(5), "odd")
    said = both.answer({"flow": True, "part": both.parts[0].to_json()})
    assert said == {"unfit": "2 columns, 1 by the signature"}
    assert not list(both.there.iterdir())


def test_a_part_whose_rows_come_to_the_model_in_pieces_is_not_put_together(stages):
    both = stages(table(5), "plain")
    said = both.answer({"flow": True, "part": both.parts[0].to_json()}, at_once=4)
    assert said == {"unfit": "Spark divided its rows"}


def test_a_part_may_be_asked_for_whole(stages):
    both = stages(table(5), "plain")
    question = {"part": both.parts[0].to_json(), "without": {"3": "it kills"}, "rows_per_call": 2}
    said = both.answer(question)
    assert said["finished"]["refused"] == 1
    assert "it kills" in (both.there / "000000.refused.jsonl").read_text()


def test_an_unreadable_part_fails_with_its_reason(stages, tmp_path):
    both = stages(table(5), "plain", "csv")
    (tmp_path / "rows.csv").unlink()
    said = both.answer({"flow": True, "part": both.parts[0].to_json()})
    assert "rows.csv: cannot be read" in said["failed"]
