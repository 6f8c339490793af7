"""A version behind its stages, scored as one model: answers, names, refusals, jobs that go on."""

import json
import shutil
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from mlflow.pyfunc import PythonModel

from cloche.registry.stage_names import NO_STAGE
from cloche.serving.batch import version_pinning
from cloche.serving.batch.scoring.local_engine import LocalEngine
from cloche.serving.batch.version_pinning import pin
from cloche.serving.errors import JobFailed, JobRefused, VersionRefused
from cloche.serving.host.reference_profile import load_profile
from cloche.serving.registry.names import BEFORE_TAG
from tests import stand_in_environments, warm
from tests.lifecycle import make_stages
from tests.lifecycle.registry import Registry
from tests.serving.batch.conftest import HereEngine, table
from tests.serving.batch.make_models import SIGNATURE
from tests.serving.batch.test_run import WRITERS
from tests.shelf import shelf
from tests.stores import stores

pytestmark = pytest.mark.xdist_group("batch")

M, S = "models:/m@production", "models:/s@production"
CENTER, GAPS = "center", "gaps"  # a stage that looks across rows; one that answers gaps for numbers


class Cleaner(PythonModel):
    """Adds to `a` and spells `c` in capitals; answers other columns, and in another order."""

    def __init__(self, number: int, behaviour: str = "") -> None:
        self.number = number
        self.behaviour = behaviour

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        a, b = model_input["a"] + self.number, model_input["b"]
        if self.behaviour == CENTER:
            a = a - a.mean()
        if self.behaviour == GAPS:
            b = b.where(b > 0)
        words = model_input["c"].str.upper() + str(self.number)
        return pd.DataFrame({"more": 1, "c": words, "b": b, "a": a})


@cache
def cleaner(number: int, behaviour: str = "") -> Path:
    path = shelf() / f"cleaner {number} {behaviour}"
    with warnings.catch_warnings(action="ignore"):  # that it has no input example
        mlflow.pyfunc.save_model(
            path, python_model=Cleaner(number, behaviour), pip_requirements=[],
            signature=mlflow.models.ModelSignature(SIGNATURE.inputs, SIGNATURE.inputs),
        )  # fmt: skip
    return path


@cache
def made(number: int, kind: str) -> Path:
    path = shelf() / f"batch {number} {kind}"
    make_stages.save(path, number, kind)
    return path


class Shop(Registry):
    """A registry whose versions name the stages before them."""

    def add(self, model: str, *paths: Path, before: str = "") -> None:
        """One more version for each path, the first version of the model in production."""
        self.register(model=model)
        for path in paths:
            number = str(self.client.create_model_version(model, source=str(path)).version)
            if before:
                self.client.set_model_version_tag(model, number, BEFORE_TAG, before)
        self.promote("1", model)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    registry = Shop(tmp_path)
    registry.register()
    with stores(registry.uri):
        yield registry


@pytest.fixture
def pair(shop: Shop) -> Shop:
    """Stage `s` and model `m`, two versions each."""
    shop.add("s", made(1, make_stages.STAGE), made(2, make_stages.STAGE))
    shop.add("m", made(1, make_stages.MODEL), made(2, make_stages.MODEL), before=S)
    return shop


def rows(*values: float) -> Path:
    pd.DataFrame({"a": np.float64(values)}).to_parquet("rows.parquet")
    return Path("rows.parquet")


def answers(place: str = "out.csv") -> list[float]:
    found: list[float] = pd.read_csv(place)["prediction"].tolist()
    return found


def quarantined(place: str = "out.csv") -> dict[int, str]:
    lines = map(json.loads, Path(f"{place}.quarantine.jsonl").read_text().splitlines())
    return {line["row"]: line["reason"] for line in lines}


@pytest.mark.parametrize(
    "suffix",
    ["csv", *(pytest.param(one, marks=pytest.mark.breadth) for one in ("parquet", "jsonl"))],
)  # fmt: skip
def test_predictions_are_those_of_all_versions_by_hand(suffix, shop, score, made_models):
    shop.add("t", cleaner(1))
    shop.add("s", cleaner(2), before="models:/t/1")
    shop.add("m", made_models / "plain", before=S)
    frame = table(25)
    WRITERS[suffix](frame, Path(f"rows.{suffix}"))

    score(f"rows.{suffix}", "out.parquet", model=M)

    right = frame[["a", "b", "c"]]
    for path in (cleaner(1), cleaner(2), made_models / "plain"):
        right = mlflow.pyfunc.load_model(str(path)).predict(right)
    pd.testing.assert_frame_equal(pd.read_parquet("out.parquet"), right)


def test_every_answer_names_every_version(pair, score):
    score(rows(0.0), "out.parquet", model=M, stamped=True, tracked=True)

    assert pd.read_parquet("out.parquet")["model_stages"].tolist() == ["s/1"]
    assert pq.read_schema("out.parquet").metadata[b"cloche.model_stages"] == b"s/1"
    manifest, report = (
        json.loads(Path(f"out.parquet.{name}.json").read_text()) for name in ("manifest", "report")
    )
    (stage,) = manifest["job"]["model"]["stages"]
    assert (stage["name"], stage["version"], len(stage["digest"])) == ("s", "1", 64)
    assert report["model"]["stages"] == [stage]
    run = mlflow.MlflowClient().get_run(manifest["run_id"])
    assert run.data.tags["cloche.stages"] == "s/1"
    assert "m version 1 behind s version 1</h1>" in Path("out.parquet.report.html").read_text()


def test_nothing_names_stages_where_there_are_none(pair, score):
    said: list[str] = []
    score(rows(0.0), "out.parquet", model="models:/s/1", stamped=True, said=said)

    assert list(pd.read_parquet("out.parquet").columns)[2:] == [
        "model_name", "model_version", "model_run_id"
    ]  # fmt: skip
    manifest = json.loads(Path("out.parquet.manifest.json").read_text())
    assert not {"stages", "before"} & manifest["job"]["model"].keys()
    assert not any("behind" in line for line in said)


def test_the_option_chooses_another_stage_or_none(pair, score):
    for before, right in (("", 1001.0), ("models:/s/2", 2001.0), (str(made(7, "stage")), 7001.0)):
        score(rows(0.0), "out.csv", model=M, before=before, overwrite=True)
        assert answers() == [right]
    pd.DataFrame({"b": [5.0]}).to_parquet("prepared.parquet")
    score("prepared.parquet", "out.csv", model=M, before=NO_STAGE, overwrite=True)
    assert answers() == [5001.0]


def test_a_resumed_job_takes_the_stages_that_it_began_with(pair, score):
    source = rows(*map(float, range(25)))
    with pytest.raises(KeyboardInterrupt):
        score(source, "out.csv", model=M, engine=HereEngine(dies_before=1))
    pair.promote("2", "s")
    pair.promote("2", "m")
    shutil.rmtree("cache")
    engine = HereEngine()
    score(source, "out.csv", model=M, resume=True, engine=engine)
    assert engine.finished == [1, 2]
    assert answers() == [1000 * at + 1001.0 for at in range(25)]
    with pytest.raises(JobRefused, match=r"begun with m version 1 behind s version 1, and .* is m"):
        score(source, "out.csv", model=M)
    with pytest.raises(JobRefused, match="is m version 2 behind s version 1 now"):
        score(source, "out.csv", model=M, before="models:/s/1", resume=True)


def test_a_job_of_a_release_without_stages_goes_on_without_them(pair, score):
    pd.DataFrame({"b": np.arange(25.0)}).to_parquet("prepared.parquet")
    with pytest.raises(KeyboardInterrupt):
        score(
            "prepared.parquet",
            "out.csv",
            model=M,
            before=NO_STAGE,
            engine=HereEngine(dies_before=1),
        )
    (begun,) = Path().glob(".*/job.json")
    content = json.loads(begun.read_text())
    del content["job"]["model"]["before"]
    begun.write_text(json.dumps(content))

    score("prepared.parquet", "out.csv", model=M, resume=True)

    assert answers() == [1000 * at + 1.0 for at in range(25)]


def test_two_jobs_that_pin_the_same_versions_at_once_have_one_model(pair, monkeypatch):
    both = threading.Barrier(2, timeout=60)
    write = version_pinning.write_chain

    def write_at_once(*about: Any) -> None:
        write(*about)
        both.wait()

    monkeypatch.setattr(version_pinning, "write_chain", write_at_once)
    with ThreadPoolExecutor(2) as jobs:
        one, other = jobs.map(lambda _: pin(M, Path("cache")), range(2))
    assert one == other
    assert mlflow.pyfunc.load_model(one.path).predict(pd.DataFrame({"a": [0.0]})) == [1001.0]


def test_a_row_that_a_stage_refuses_is_in_quarantine_with_its_name(pair, score):
    score(rows(0.0, make_stages.REFUSE, 1.0), "out.csv", model=M)
    assert quarantined() == {1: "the stage s 1 failed with ValueError: not this row"}
    assert answers() == [1001.0, 2001.0]


def test_a_row_of_which_a_stage_makes_what_the_model_does_not_take_is_in_quarantine(
    shop, score, made_models
):
    shop.add("s", cleaner(1, GAPS))
    shop.add("m", made_models / "plain", before=S)
    pd.DataFrame({"a": 0.5, "b": [1, -1], "c": "x"}).to_parquet("rows.parquet")
    score("rows.parquet", "out.csv", model=M)
    (reason,) = quarantined().values()
    assert reason.startswith("the row as it reaches the model does not fit its signature: Incom")


@pytest.mark.parametrize(
    ("value", "words"), [(make_stages.SHORT, "one row"), (make_stages.NAMELESS, "named columns")]
)
def test_a_stage_that_answers_no_table_of_the_rows_ends_the_job(value, words, pair, score):
    with pytest.raises(JobFailed, match=rf"^The stage s 1 cannot be used: .*{words}"):
        score(rows(0.0, value), "out.csv", model=M)


def test_a_pair_that_does_not_fit_is_refused_and_another_scores_as_advised(shop, score):
    shop.add("s", made(1, make_stages.WRONG_COLUMN), made(2, make_stages.STAGE))
    shop.add("m", made(1, make_stages.MODEL), before=S)
    with pytest.raises(
        VersionRefused, match="m 1 takes 'b', which the stage before it, s 1, does"
    ) as refusal:
        score(rows(0.0), "out.csv", model=M)
    assert str(refusal.value).endswith("--before URI.")
    score(rows(0.0), "out.csv", model=M, before="models:/s/2")
    assert answers() == [2001.0]


def test_a_stage_that_looks_across_rows_ends_a_job_of_several_parts(shop, score, made_models):
    shop.add("s", cleaner(1, CENTER))
    shop.add("m", made_models / "plain", before=S)
    table(25).to_parquet("rows.parquet")
    with pytest.raises(JobFailed, match="m version 1 behind s version 1 answers 'pr"):
        score("rows.parquet", "out.csv", model=M)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (make_stages.CRASH, "scoring it killed the worker (killed by signal 9 in the stage s 1)"),
        (make_stages.HANG, "scoring it took longer than 1 s in the stage s 1 (--predict-timeout)"),
    ],
)
def test_a_row_by_which_a_stage_dies_or_hangs_is_found(value, reason, pair, score, monkeypatch):
    monkeypatch.setattr(sys, "executable", warm.python())
    with LocalEngine(1, time_limit=1.0) as engine:
        score(rows(0.0, value, 1.0), "out.csv", model=M, part_rows=1000, engine=engine)
    assert quarantined() == {1: reason}
    assert answers() == [1001.0, 2001.0]


@pytest.mark.parametrize("profiled", [("s", "m"), ("m",), ()])
def test_the_profile_has_the_inputs_of_the_stage_and_the_scores_of_the_model(
    profiled, shop, tmp_path
):
    for name, kind in (("s", make_stages.STAGE), ("m", make_stages.MODEL)):
        place = tmp_path / name
        make_stages.save(place, 1, kind)
        if name in profiled:
            (place / "artifacts").mkdir(exist_ok=True)
            profile = {"schema": 1, "columns": {f"of {name}": {}}, "scores": {f"of {name}": {}}}
            (place / "artifacts" / "profile.json").write_text(json.dumps(profile))
        shop.add(name, place, before=S if name == "m" else "")
    found = load_profile(Path(pin(M, Path("cache")).path))
    columns = {"of s": {}} if "s" in profiled else {}
    assert found == ({"schema": 1, "columns": columns, "scores": {"of m": {}}} if profiled else {})


@pytest.fixture
def apart(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalEngine]:
    """An engine with environments, of which stage `s` has the second and model `m` the third."""
    stand_in_environments.use(monkeypatch)
    monkeypatch.setattr(sys, "executable", warm.python())
    for name, kind, number in (("s", make_stages.STAGE, 2), ("m", make_stages.MODEL, 3)):
        stand_in_environments.save(tmp_path / name, number, kind)
        shop.add(name, tmp_path / name, before=S if name == "m" else "")
    environments = stand_in_environments.interpreter(tmp_path / "cache")
    with LocalEngine(1, interpreter=environments, time_limit=20.0) as engine:
        yield engine


def test_each_version_runs_in_an_environment_of_its_own(apart, score):
    score(rows(0.0, make_stages.REFUSE, 1.0), "out.csv", model=M, env_manager="uv", engine=apart)
    assert answers() == [2003.0, 3003.0]
    assert quarantined() == {1: "the stage s 1 failed with ValueError: not this row"}


@pytest.mark.breadth
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (make_stages.CRASH, "scoring it killed the worker (killed by signal 9 in the stage s 1)"),
        (make_stages.HANG, "scoring it took longer than 20 s in the stage s 1 (--predict-timeout)"),
        (make_stages.SHORT, ""),
    ],
)
def test_a_stage_in_a_process_of_its_own_fails_as_in_that_of_its_model(value, reason, apart, score):
    source = rows(0.0, value, 1.0)
    options = {"model": M, "env_manager": "uv", "engine": apart, "part_rows": 1000}
    if not reason:
        with pytest.raises(JobFailed, match=r"^The stage s 1 cannot be used: .* answered 3 with 2"):
            score(source, "out.csv", **options)
        return
    score(source, "out.csv", **options)
    assert quarantined() == {1: reason}
    assert answers() == [2003.0, 3003.0]


def test_a_version_that_has_no_environment_is_told_with_its_name(apart, score, tmp_path):
    (tmp_path / "s" / "python_env.yaml").write_text("python: 3.9.1\n")
    with pytest.raises(
        JobFailed, match=r"^m version 1 behind s version 1: s 1: .* Python 3.9, .* Log it with a la"
    ):
        score(rows(0.0), "out.csv", model=M, env_manager="uv", engine=apart)


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the class travels with its model
