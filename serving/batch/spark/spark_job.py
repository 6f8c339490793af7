"""The Spark jobs of a batch job: executors read parts, score them by `spark_udf` and write them."""

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow.models import Model
from mlflow.pyfunc import spark_udf

from cloche.processes.child_variables import for_models
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.spark import READING, STAGE, safe_model
from cloche.serving.batch.spark.read_stage import PartRequest, ReadStage
from cloche.serving.batch.spark.write_stage import RECORD_DDL, WriteStage


class SparkJob:
    """Creates the Spark jobs of one batch job. Create it with `create_spark_job`."""

    def __init__(
        self, spark: Any, job: Job, directory: Path, model: Path, *, extra_names: Sequence[str],
        python: str,
    ) -> None:  # fmt: skip
        schema = Model.load(job.model.path).get_input_schema()
        self.columns = safe_model.columns(Path(job.model.path), python)
        self._spark = spark
        self._about = (
            json.dumps(replace(job, fingerprints={}).to_json()),
            schema.to_json() if schema is not None else "",
            str(directory),
        )
        safe_model.save(model, job, directory, python)
        with _only_for_models(extra_names):
            self._score = _quiet_udf(spark, model, self.columns.answer_ddl)

    def records(self, requests: list[PartRequest]) -> Any:
        """Return a lazy Spark DataFrame of records about some parts.

        Each part is one task, so that its rows stay together and in order.
        """
        from pyspark.sql.functions import struct  # noqa: PLC0415  # PySpark is an extra

        count = len(requests)
        reading = ReadStage(*self._about, self.columns, requests)
        inputs = ["message", *(f"i{at}" for at in range(len(self.columns.inputs)))]
        with self._stage(READING):
            rows = self._spark.range(0, count, 1, count).mapInArrow(
                reading.batches, self.columns.row_ddl
            )
        with self._stage("score"):
            answered = rows.select("head", self._score(struct(*inputs)).alias("answer"))
        with self._stage("leave"):
            return answered.mapInArrow(WriteStage(*self._about).batches, RECORD_DDL)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Give a stage its own processes: only the score stage keeps the version in memory."""
        environment = self._spark.sparkContext.environment
        environment[STAGE] = name
        try:
            yield
        finally:
            del environment[STAGE]


@contextmanager
def create_spark_job(
    spark: Any, job: Job, directory: Path, extra_names: Sequence[str] = (), python: str = ""
) -> Iterator[SparkJob]:
    """Create the Spark jobs of a batch job."""
    with tempfile.TemporaryDirectory(prefix="cloche-") as place:
        yield SparkJob(
            spark, job, directory, Path(place) / "model", extra_names=extra_names, python=python
        )


@contextmanager
def _only_for_models(extra_names: Sequence[str]) -> Iterator[None]:
    """Remove all environment variables but those for models while the body runs.

    MLflow's UDF sends some to the executors: the tracking URI, and keys like OpenAI's.
    """
    given = for_models(os.environ, extra_names)
    withheld = {name: os.environ.pop(name) for name in set(os.environ) - set(given)}
    try:
        yield
    finally:
        os.environ.update(withheld)


def _quiet_udf(spark: Any, model: Path, result_type: str) -> Any:
    """Return MLflow's UDF, without its warning that executors use their own environment.

    MLflow creates an archive of the model for the executors and never removes it. It is put beside
    the model, whose folder is removed when the job ends.
    """
    logger = logging.getLogger("mlflow.pyfunc")
    level, usual = logger.level, tempfile.tempdir
    logger.setLevel(logging.ERROR)
    tempfile.tempdir = str(model.parent)
    try:
        return spark_udf(spark, str(model), result_type, env_manager="local")
    finally:
        tempfile.tempdir = usual
        logger.setLevel(level)
