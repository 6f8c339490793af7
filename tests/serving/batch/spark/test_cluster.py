"""Jobs of `cloche score` on a real cluster: the same files as those of the local engine."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clouds.aws import REGION, moto
from tests.serving.batch.conftest import table
from tests.serving.batch.make_models import PICKY
from tests.serving.batch.test_stages import cleaner

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("spark")]

OnSpark = Callable[..., subprocess.Popen[str]]
# An executor more is a JVM more, and a Python that imports MLflow.
ONE_EXECUTOR = {"PYSPARK_SUBMIT_ARGS": "--conf spark.cores.max=1 pyspark-shell"}


@pytest.fixture
def on_spark(cluster: dict[str, str], made_models: Path, tmp_path: Path) -> OnSpark:
    """Start `cloche score --engine spark` with a model of the made_models."""

    def start(
        source: Path | str, place: Path | str, *options: Any, model: str = "plain", **variables: str
    ) -> Any:
        words = [
            "-m", "cloche", "score", made_models / model, source, f"{place}/", "--engine", "spark",
            "--no-track", *options,
        ]  # fmt: skip
        return subprocess.Popen(
            [sys.executable, *map(str, words)], env=cluster | variables, cwd=tmp_path,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return start


def _ended(job: subprocess.Popen[str], code: int) -> str:
    output, _ = job.communicate()
    assert job.returncode == code, output
    return output


def _files(folder: Path) -> dict[str, bytes]:
    """All files of an output but the manifest, which tells how long it took."""
    return {
        file.name: file.read_bytes()
        for file in folder.iterdir()
        if file.name not in ("_manifest.json", "_report.json", "_report.html")
    }


def _report(folder: Path) -> Any:
    said = json.loads((folder / "_report.json").read_text())
    return {key: value for key, value in said.items() if key not in ("seconds", "run_id", "job")}


def test_the_cluster_leaves_in_a_store_the_files_and_the_report_of_this_machine(
    on_spark, score, tmp_path
):
    rows = table(600)
    rows.loc[[23, 420], "a"] = PICKY
    text = rows.to_csv(index=False).replace("\n00031,", "\n00031,x,", 1)
    (tmp_path / "rows.csv").write_text(text)
    there, temporary = tmp_path / "there", tmp_path / "temporary"
    there.mkdir()
    temporary.mkdir()

    with moto() as aws:
        where = {"LocationConstraint": REGION}
        client = aws.client("s3")
        client.create_bucket(Bucket="scores", CreateBucketConfiguration=where)
        job = on_spark(
            tmp_path / "rows.csv", "s3://scores/out", "--part-rows", 100, "--keep", "--stamp",
            "--cache-dir", tmp_path / "cache", model="picky",
            TMPDIR=str(temporary), **aws.variables,
        )  # fmt: skip
        here = score(
            tmp_path / "rows.csv", f"{tmp_path}/here/", model="picky", part_rows=100, keep=True,
            stamped=True,
        )  # fmt: skip
        _ended(job, 4)
        for one in client.list_objects_v2(Bucket="scores", Prefix="out/")["Contents"]:
            name = one["Key"].removeprefix("out/")
            client.download_file("scores", one["Key"], str(there / name))

    assert here.manifest["refused"] == 3
    assert not list(temporary.iterdir()), "a copy of the model"
    assert _files(there) == _files(tmp_path / "here")
    assert _report(there) == _report(tmp_path / "here")
    assert sorted(file.name for file in there.iterdir()) == sorted(
        file.name for file in (tmp_path / "here").iterdir()
    )


def test_rows_that_do_not_travel_are_read_from_a_store_before_the_model_has_its_process(
    on_spark, score, tmp_path
):
    table(300).to_parquet(tmp_path / "rows.parquet")
    options = {"part_rows": 999, "keep": True, "model": "because"}  # whose answer has no signature
    with moto() as aws:
        where = {"LocationConstraint": REGION}
        client = aws.client("s3")
        client.create_bucket(Bucket="rows", CreateBucketConfiguration=where)
        client.upload_file(str(tmp_path / "rows.parquet"), "rows", "rows.parquet")
        job = on_spark(
            "s3://rows/rows.parquet", tmp_path / "there", "--part-rows", 999, "--keep",
            "--spark-master", "local[2]",  # whose executors have the keys of this machine
            model="because", **aws.variables,
        )  # fmt: skip
        score(tmp_path / "rows.parquet", f"{tmp_path}/here/", **options)
        _ended(job, 0)

    assert _files(tmp_path / "there") == _files(tmp_path / "here")


def test_a_model_behind_a_stage_leaves_the_files_of_this_machine(on_spark, score, tmp_path):
    rows = table(300)
    rows.loc[23, "a"] = PICKY - 1  # to which the stage adds 1
    rows.to_csv(tmp_path / "rows.csv", index=False)
    job = on_spark(
        tmp_path / "rows.csv", tmp_path / "there", "--part-rows", 100, "--keep", "--stamp",
        "--before", cleaner(1), "--cache-dir", tmp_path / "cache", model="picky",
    )  # fmt: skip
    here = score(
        tmp_path / "rows.csv", f"{tmp_path}/here/", model="picky", part_rows=100, keep=True,
        stamped=True, before=str(cleaner(1)),
    )  # fmt: skip
    _ended(job, 4)

    assert here.manifest["refused"] == 1
    assert _files(tmp_path / "there") == _files(tmp_path / "here")
    assert _report(tmp_path / "there") == _report(tmp_path / "here")


def test_a_row_that_kills_workers_ends_in_quarantine(on_spark, tmp_path):
    rows = table(4)
    rows.loc[2, "a"] = PICKY
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=2)
    job = on_spark(tmp_path / "rows.parquet", tmp_path / "out", model="deadly", **ONE_EXECUTOR)
    _ended(job, 4)
    lines = (tmp_path / "out" / "_quarantine.jsonl").read_text().splitlines()
    refused = [json.loads(line) for line in lines]
    assert [one["row"] for one in refused] == [2]
    assert refused[0]["reason"] == "scoring it killed the worker (in Spark)"


def test_a_job_whose_driver_was_killed_goes_on_without_a_doubled_row(on_spark, score, tmp_path):
    table(300).to_parquet(tmp_path / "rows.parquet", row_group_size=25)
    score(
        tmp_path / "rows.parquet", f"{tmp_path}/whole/", model="tensor", part_rows=25,
        id_columns=("id",),
    )  # fmt: skip
    options = ("--part-rows", "25", "--id-column", "id")
    # whose signature is a bare array
    on_spark = partial(on_spark, model="tensor", **ONE_EXECUTOR)
    journal = tmp_path / ".torn.cloche" / "journal.jsonl"

    job = on_spark(tmp_path / "rows.parquet", tmp_path / "torn", *options)
    while not journal.exists():
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.01)  # between two looks at a file that another process makes
    job.kill()
    job.communicate()
    done = len(journal.read_bytes().splitlines())
    said = _ended(on_spark(tmp_path / "rows.parquet", tmp_path / "torn", *options, "--resume"), 0)

    assert 0 < done < 12
    assert "going on with tensor after" in said
    assert _files(tmp_path / "torn") == _files(tmp_path / "whole")
