"""Outputs in an object store: moto's S3, with the files of a local one, crashes and refusals."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests

from cloche.serving.batch.output.layout import describe
from cloche.serving.batch.output.object_store import Store
from cloche.serving.errors import JobFailed, JobRefused
from tests import warm
from tests.broken_servers import answering
from tests.clouds.aws import REGION, Aws, Person, moto
from tests.online import cloud_storage
from tests.serving.batch.conftest import HereEngine, table
from tests.shell import environment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("batch")]

WHERE = {"LocationConstraint": REGION}
each_shape = pytest.mark.parametrize(
    "shape", ["out.csv", "out/", pytest.param("out.parquet", marks=pytest.mark.breadth)]
)


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto() as running:
        yield running


class Bucket:
    """A bucket of a test's own."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name
        client.create_bucket(Bucket=name, CreateBucketConfiguration=WHERE)

    def names(self) -> list[str]:
        """All objects but those that Arrow and S3's console leave for folders."""
        listed = self._client.list_objects_v2(Bucket=self._name).get("Contents", [])
        return [one["Key"] for one in listed if not one["Key"].endswith("/")]

    def read(self, name: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=self._name, Key=name)["Body"].read()
        return content

    def write(self, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._name, Key=name, Body=content)

    def contents(self) -> dict[str, bytes]:
        """Everything below `scores/`."""
        return {
            name.removeprefix("scores/"): self.read(name)
            for name in self.names()
            if name.startswith("scores/")
        }

    def at(self, name: str) -> str:
        return f"s3://{self._name}/{name}"


@pytest.fixture
def bucket(aws: Aws, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in aws.variables.items():
        monkeypatch.setenv(name, value)
    return Bucket(aws.client("s3"), f"bucket-{abs(hash(request.node.nodeid)):x}")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Rows, two of which the model `picky` refuses."""
    rows = table(57)
    rows.loc[[23, 45], "a"] = 13.0
    rows.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def told(files: dict[str, bytes]) -> dict[str, Any]:
    """Files to compare, without how long it took."""
    return {
        name: {**json.loads(content), "seconds": 0} if name.endswith("manifest.json") else content
        for name, content in files.items()
    }


def here(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@each_shape
def test_the_files_are_those_of_a_local_output(shape, source, score, bucket, tmp_path):
    options = {"model": "picky", "id_columns": ("id",)}
    (tmp_path / "local").mkdir()
    score(source, f"{tmp_path}/local/{shape}", **options)
    outcome = score(source, bucket.at(f"scores/{shape}"), **options)
    assert outcome.quarantined == 2
    assert told(bucket.contents()) == told(here(tmp_path / "local"))
    assert not list((tmp_path / "cache" / "jobs").iterdir()), "it leaves no working directory"


def test_a_store_is_read_and_written_in_one_job(source, score, bucket):
    bucket.write("in/rows.csv", source.read_bytes())
    score(bucket.at("in/"), bucket.at("scores/out.csv"))
    assert bucket.read("scores/out.csv").count(b"\n") == 58


@each_shape
def test_a_finished_job_is_a_no_op_on_any_machine(shape, source, score, bucket, tmp_path):
    score(source, bucket.at(f"scores/{shape}"))
    before = bucket.contents()
    engine = HereEngine()
    again = score(
        source, bucket.at(f"scores/{shape}"), engine=engine, cache=tmp_path / "other machine"
    )
    assert not again.fresh
    assert engine.finished == []
    assert bucket.contents() == before


def test_a_changed_input_is_refused_until_it_is_to_be_replaced(source, score, bucket):
    place = bucket.at("scores/out/")
    score(source, place)
    old = set(bucket.contents())
    table(9).to_csv(source, index=False)
    with pytest.raises(JobRefused, match=r"rows\.csv has changed since"):
        score(source, place)
    score(source, place, overwrite=True)
    assert bucket.read("scores/out/part-000000.parquet")
    assert set(bucket.contents()) < old, "parts of the old output are gone"


def test_what_somebody_else_put_there_is_not_replaced(source, score, bucket):
    bucket.write("scores/out/note.txt", b"mine")
    with pytest.raises(JobRefused, match="not from a finished job"):
        score(source, bucket.at("scores/out/"))
    assert bucket.names() == ["scores/out/note.txt"]


class Dying:
    """A store that ends the process before its n-th change."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
        self.left = before
        for name in ("put", "_delete"):
            monkeypatch.setattr(Store, name, self._counted(getattr(Store, name)))

    def _counted(self, do: Callable[..., None]) -> Callable[..., None]:
        def counted(store: Store, *arguments: Any) -> None:
            if self.left <= 0:
                raise KeyboardInterrupt
            self.left -= 1
            do(store, *arguments)

        return counted


@pytest.mark.parametrize(
    ("shape", "lost"),
    [
        ("out/", True),
        *(pytest.param(*one, marks=pytest.mark.breadth)
          for one in (("out/", False), ("out.parquet", True), ("out.parquet", False))),
    ],
)  # fmt: skip
def test_dying_before_any_change_of_the_store_it_is_resumed_to_the_same_files(
    shape, lost, *, source, score, bucket, tmp_path, monkeypatch
):
    options = {"model": "picky", "id_columns": ("id",), "part_rows": 20, "resume": True}
    (tmp_path / "local").mkdir()
    score(source, f"{tmp_path}/local/{shape}", **options)
    whole, place, ended = told(here(tmp_path / "local")), bucket.at(f"scores/{shape}"), False

    for before in range(40):
        with monkeypatch.context() as patched:
            Dying(patched, before)
            try:
                score(source, place, **options | {"overwrite": True, "resume": False})
                ended = True
            except KeyboardInterrupt:
                complete = describe(place, None).manifest()
        if ended:
            break
        machine = tmp_path / f"machine {before}" if lost else tmp_path / "cache"
        again = score(source, place, cache=machine, **options)
        assert again.fresh or complete, "only what is complete is taken for it"
        left = bucket.contents()
        left.pop(f".{shape.strip('/')}.cloche.json", None)
        assert told(left) == whole, f"after a death before change {before}"

    assert ended
    assert before > 6, "it died on the way"


def test_a_job_of_a_lost_machine_is_named_before_it_is_gone_on_with(
    source, score, bucket, tmp_path
):
    place = bucket.at("scores/out.csv")
    with pytest.raises(KeyboardInterrupt):
        score(source, place, engine=HereEngine(dies_before=1))
    said: list[str] = []
    with pytest.raises(JobRefused, match="Go on with --resume"):
        score(source, place, cache=tmp_path / "other")
    assert bucket.names() == ["scores/.out.csv.cloche.json"], "nothing is there under its name"
    score(source, place, cache=tmp_path / "other", resume=True, said=said)
    assert said == ["going on with plain after 0 finished parts"]
    assert bucket.read("scores/out.csv").count(b"\n") == 58


def test_a_lost_machine_that_was_only_slow_does_not_call_its_output_complete(
    source, score, bucket, tmp_path
):
    place, other = bucket.at("scores/out/"), tmp_path / "other"
    table(30, seed=1).to_csv(other.with_suffix(".csv"), index=False)

    class Overtaken(HereEngine):
        def run(self, job: Any, parts: Any, directory: Path) -> Any:
            yield from super().run(job, parts, directory)
            score(other.with_suffix(".csv"), place, cache=other, overwrite=True)

    with pytest.raises(JobFailed, match="another job began or finished there") as failure:
        score(source, place, engine=Overtaken())

    assert describe(place, None).manifest()["rows"] == 30
    option = re.search(r"if it is this one, begin anew with --(\w+)\.$", str(failure.value))[1]
    assert score(source, place, **{option: True}).manifest["rows"] == 57


@pytest.mark.parametrize(
    ("variables", "place", "fix"),
    [
        ({}, "s3://nowhere-at-all/out.csv", "Make the bucket first"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://nowhere-else/out.csv",
         "AWS_ENDPOINT_URL names it"),
    ],
)  # fmt: skip
def test_a_store_that_fails_is_told_with_the_fix_before_anything_is_scored(
    variables, place, fix, *, source, score, bucket, aws, monkeypatch
):
    there = os.environ["AWS_ENDPOINT_URL"]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    engine = HereEngine()
    with pytest.raises(JobFailed, match=fix):
        score(source, place, engine=engine)
    assert engine.finished == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", there)
    aws.client("s3").create_bucket(Bucket=place.split("/")[2], CreateBucketConfiguration=WHERE)
    assert score(source, place, engine=engine, resume=True).manifest["rows"] == 57


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], None]]:
    """Have a store answer everything with an error."""
    with ExitStack() as running:

        def refuse(code: int, name: str) -> None:
            def answer(handler: Any, _: bytes) -> None:
                body = f"<?xml version='1.0'?><Error><Code>{name}</Code></Error>".encode()
                region = {"x_amz_bucket_region": "eu-central-1"} if code == 301 else {}
                handler.reply(code, body, "application/xml", **region)

            monkeypatch.setenv("AWS_ENDPOINT_URL", running.enter_context(answering(answer)))

        yield refuse


@pytest.mark.parametrize(
    ("code", "name", "fix"),
    [
        (403, "AccessDenied", "be allowed to list the bucket"),
        (301, "PermanentRedirect", "bucket is located in 'eu-central-1'. Set AWS_REGION"),
    ],
)
def test_a_store_that_refuses_is_told_with_the_fix(code, name, fix, *, score, source, refusing):
    refusing(code, name)
    with pytest.raises(JobFailed, match=fix):
        score(source, "s3://bucket-of-others/scores/out.csv")


@pytest.mark.breadth
def test_keys_and_rights_that_are_advised_let_a_job_write(aws, bucket, score, source, monkeypatch):
    person = Person(aws, "scorer")
    for name, value in (person.keys() | {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}).items():
        monkeypatch.setenv(name, value)
    with (
        person.judged(),
        pytest.raises(
            JobFailed, match=r"\(AWS_ACCESS_KEY_ID and AWS_SEC.*ones that the store knows"
        ),
    ):
        score(source, bucket.at("scores/out.csv"))

    for name, value in person.keys().items():
        monkeypatch.setenv(name, value)
    with person.judged(), pytest.raises(JobFailed, match="allowed to list the bucket") as failure:
        score(source, bucket.at("scores/out.csv"))

    person.grant(*re.findall(r"s3:\w+", str(failure.value)))
    with person.judged():
        score(source, bucket.at("scores/out.csv"), overwrite=True)
    assert "scores/out.csv" in bucket.names()


def test_half_an_upload_is_not_left_under_its_name(source, bucket, monkeypatch):
    place = describe(bucket.at("scores/out.csv"), None).place
    monkeypatch.setattr(Store, "_measure", lambda *_: (_ for _ in ()).throw(OSError("3 of 4")))
    with pytest.raises(JobFailed, match=r"out\.csv: 3 of 4\. What was done stays done"):
        place.put(source, "out.csv")
    assert "scores/out.csv" not in bucket.names()


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    """The URI of a bucket in a Cloud Storage, but for the path, and its options."""
    with cloud_storage() as url:
        requests.post(f"{url}/storage/v1/b?project=p", json={"name": "bucket"}, timeout=60)
        place = url.removeprefix("http://")
        yield f"gs://anonymous@bucket/{{}}?scheme=http&endpoint_override={place}"


@pytest.mark.parametrize("shape", ["out/", pytest.param("out.csv", marks=pytest.mark.breadth)])
def test_google_cloud_storage_has_the_same_files(shape, source, score, google, tmp_path):
    (tmp_path / "local").mkdir()
    score(source, f"{tmp_path}/local/{shape}", id_columns=("id",))
    score(source, google.format(f"scores/{shape}"), id_columns=("id",))
    place = describe(google.format(f"scores/{shape}"), None).place
    local = here(tmp_path / "local")
    assert told({name: place.read(name) for name in local}) == told(local)
    assert not score(source, google.format(f"scores/{shape}"), id_columns=("id",)).fresh


def test_parquet_in_a_store_is_scored_by_workers_that_have_no_key_to_it(
    made_models, bucket, tmp_path, aws
):
    rows = table(40)
    bucket.write("in/rows.parquet", rows.to_parquet())
    done = subprocess.run(
        [warm.python(), "-m", "cloche", "score", made_models / "plain", bucket.at("in/"),
         "out.csv", "--no-track", "--id-column", "id", "--part-rows", "15"],
        cwd=tmp_path, env=environment() | aws.variables, check=False, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(tmp_path / "out.csv", dtype={"id": str})["id"].tolist() == list(rows["id"])
