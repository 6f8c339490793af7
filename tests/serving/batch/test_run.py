"""Whole jobs in this process: what comes out, and what a job that died leaves and goes on with."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.serving.batch.input import inputs
from cloche.serving.batch.job.refusal_limit import Limit
from cloche.serving.batch.storage import atomic_write
from cloche.serving.errors import JobFailed, JobRefused, TooManyBadRows
from tests.serving.batch.conftest import HereEngine, expected, table

pytestmark = pytest.mark.xdist_group("batch")

WRITERS = {
    "csv": lambda rows, place: rows.to_csv(place, index=False),
    "jsonl": lambda rows, place: rows.to_json(
        place, orient="records", lines=True, double_precision=15
    ),
    "parquet": lambda rows, place: rows.to_parquet(place, index=False, row_group_size=17),
    "feather": lambda rows, place: rows.to_feather(place),
    "csv.gz": lambda rows, place: rows.to_csv(place, index=False),
    "tsv": lambda rows, place: rows.to_csv(place, index=False, sep="\t"),
}
READERS = {
    "csv": lambda place: pd.read_csv(  # exactly, as older versions of pandas do not by themselves
        place, dtype={"id": str}, converters={"probability": lambda text: float(text or "nan")}
    ),
    "jsonl": lambda place: pd.read_json(
        place, lines=True, precise_float=True, dtype={"id": str, "probability": float}
    ),
    "parquet": pd.read_parquet,
}


@pytest.fixture
def rows() -> pd.DataFrame:
    return table(57)


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_gives_the_predictions_of_pyfunc_in_row_order(
    suffix, rows, made_models, score
):
    source = Path(f"rows.{suffix}")
    WRITERS[suffix](rows, source)

    outcome = score(source, "out.parquet", id_columns=("id",))

    found = pd.read_parquet("out.parquet")
    assert outcome.manifest["scored"] == 57
    assert found["id"].tolist() == rows["id"].tolist()
    text = suffix.startswith(("csv", "tsv"))
    read = pd.read_csv(source, sep="\t" if suffix == "tsv" else ",") if text else rows
    answer = expected(made_models, read)
    tolerance = 1e-14 if suffix == "jsonl" else 0.0  # pandas writes 15 digits into JSON
    assert found["prediction"].tolist() == answer["prediction"].tolist()
    pd.testing.assert_series_equal(
        found["probability"], answer["probability"], rtol=tolerance, check_exact=not tolerance
    )


@pytest.mark.parametrize("suffix", [*READERS, ""])
def test_every_output_holds_the_same_rows(suffix, rows, made_models, score, tmp_path):
    rows.to_parquet("rows.parquet")
    place = tmp_path / (f"out.{suffix}" if suffix else "out")
    score("rows.parquet", place, id_columns=("id",))
    found = READERS[suffix or "parquet"](place)
    assert found["id"].tolist() == rows["id"].tolist()
    assert found["probability"].tolist() == pytest.approx(
        expected(made_models, rows)["probability"].tolist(), rel=0, abs=0, nan_ok=True
    )
    assert suffix or (place / "_SUCCESS").exists()
    assert not list(tmp_path.glob(".out*")), "a finished job leaves no working directory"


def test_all_columns_are_kept_as_they_were_and_parquet_names_the_version(rows, score):
    rows.to_parquet("rows.parquet")
    score("rows.parquet", "out.parquet", keep=True, stamped=True)
    found = pd.read_parquet("out.parquet")
    pd.testing.assert_frame_equal(found[list(rows.columns)], rows)
    assert set(found["model_name"]) == {"plain"}
    assert pq.read_schema("out.parquet").metadata[b"cloche.model_name"] == b"plain"


def test_days_in_directory_names_become_columns(rows, score):
    for day, group in rows.groupby(rows.index % 2):
        folder = Path("days", f"date=2013-11-0{day + 1}")
        folder.mkdir(parents=True)
        group.to_parquet(folder / "rows.parquet", index=False)
    score("days", "out.parquet", id_columns=("date", "id"))
    found = pd.read_parquet("out.parquet")
    assert found["date"].tolist() == ["2013-11-01"] * 29 + ["2013-11-02"] * 28


def test_refused_rows_go_to_quarantine_with_number_reason_and_row(rows, made_models, score):
    rows.loc[23, "a"] = 13.0
    text = rows.to_csv(index=False).replace("\n00031,", "\nbroken,", 1)
    lines = text.split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("00040,"))
    lines[at] = "00040,1.5,three,x"
    Path("rows.csv").write_text("\n".join(lines))

    outcome = score("rows.csv", "out.csv", model="picky", id_columns=("id",))

    refused = [
        json.loads(line) for line in Path("out.csv.quarantine.jsonl").read_text().splitlines()
    ]
    assert [(one["row"], one["input"]["id"]) for one in refused] == [(23, "00023"), (40, "00040")]
    assert refused[0]["reason"] == "the model failed with ValueError: it holds a 13"
    assert refused[1]["reason"] == "column 'b': expected long"
    found = pd.read_csv("out.csv", dtype={"id": str})
    assert len(found) + len(refused) == outcome.manifest["rows"] == 57
    assert not set(found["id"]) & {"00023", "00040"}


@pytest.mark.parametrize("word", ["x", '"x"'])
def test_a_bare_carriage_return_ends_a_row_as_it_does_for_pandas(word, made_models, score):
    text = f"id,a,b,c\n1,0.5,1,{word}\r2,0.5,1,{word}\r\n3,broken,1,{word}\n4,0.5,1,{word}\n"
    Path("rows.csv").write_bytes(text.encode())
    score("rows.csv", "out.csv", id_columns=("id",))
    (refused,) = Path("out.csv.quarantine.jsonl").read_text().splitlines()
    assert json.loads(refused)["row"] == 2
    assert json.loads(refused)["input"]["id"] == "3"
    assert pd.read_csv("out.csv")["id"].tolist() == [1, 2, 4]


def test_a_damaged_file_is_told_by_its_name_and_leaves_no_output(rows, score):
    rows.to_parquet("rows.parquet")
    content = bytearray(Path("rows.parquet").read_bytes())
    content[4:400] = bytes(396)  # the first pages
    Path("rows.parquet").write_bytes(content)
    with pytest.raises(JobFailed, match=r"rows.parquet: cannot be read"):
        score("rows.parquet", "out.parquet")
    assert not Path("out.parquet").exists()


def test_a_model_that_lacks_memory_gets_fewer_rows_at_once(made_models, score):
    rows = table(1000)
    rows.to_parquet("rows.parquet")
    outcome = score("rows.parquet", "out.parquet", model="hungry", part_rows=1000)
    assert outcome.manifest["refused"] == 0
    assert len(pd.read_parquet("out.parquet")) == 1000


@pytest.mark.parametrize("limit", ["1", "3%"])
def test_too_many_bad_rows_fail_the_job_and_leave_no_output(limit, rows, score):
    rows.loc[[3, 30], "a"] = 13.0
    rows.to_parquet("rows.parquet")
    with pytest.raises(TooManyBadRows, match="--max-bad-rows"):
        score("rows.parquet", "out.parquet", model="picky", limit=Limit.parse(limit))
    assert not Path("out.parquet").exists()


def test_a_finished_job_is_not_done_again(rows, score):
    rows.to_parquet("rows.parquet")
    score("rows.parquet", "out.parquet")
    before = Path("out.parquet").stat()
    engine = HereEngine()
    again = score("rows.parquet", "out.parquet", engine=engine)
    assert not again.fresh
    assert engine.finished == []
    assert Path("out.parquet").stat() == before


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deaths=st.lists(st.integers(0, 6), max_size=3), torn=st.integers(0, 60))
@pytest.mark.parametrize(
    "name", ["out.csv", "out", pytest.param("out.parquet", marks=pytest.mark.breadth)]
)
def test_whatever_kills_it_no_row_is_lost_or_doubled(name, deaths, torn, score, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    rows = table(57)
    rows.loc[11, "a"] = 13.0
    rows.to_csv(folder / "rows.csv", index=False)
    options = {"model": "picky", "id_columns": ("id",), "part_rows": 2}
    score(folder / "rows.csv", folder / "whole" / name, **options)

    for dies_before in deaths:
        with contextlib.suppress(KeyboardInterrupt):  # it may also come to its end before
            score(
                folder / "rows.csv", folder / "torn" / name, resume=True,
                engine=HereEngine(dies_before), **options,
            )  # fmt: skip
        journal = folder / "torn" / f".{name}.cloche" / "journal.jsonl"
        if journal.exists() and torn:  # the crash came while a line was written
            journal.write_bytes(journal.read_bytes()[:-torn])
    score(folder / "rows.csv", folder / "torn" / name, resume=True, **options)

    assert _contents(folder / "torn") == _contents(folder / "whole")


def _contents(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in files
        if "manifest" not in file.name
    }


def test_a_job_that_died_while_it_published_publishes_again(rows, score, monkeypatch):
    rows.to_parquet("rows.parquet")
    score("rows.parquet", "whole.parquet")
    moved = atomic_write.move

    def dies(here: Path, there: Path) -> None:
        moved(here, there)
        if there.name == "out.parquet":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(atomic_write, "move", dies)
        with pytest.raises(KeyboardInterrupt):
            score("rows.parquet", "out.parquet")
    engine = HereEngine()

    outcome = score("rows.parquet", "out.parquet", resume=True, engine=engine)

    assert outcome.fresh
    assert engine.finished == []
    assert Path("out.parquet").read_bytes() == Path("whole.parquet").read_bytes()


def test_an_input_that_changes_while_it_is_scored_gives_no_output(rows, score):
    rows.to_csv("rows.csv", index=False)

    class Meddling(HereEngine):
        def run(self, job, parts, directory):
            yield from super().run(job, parts, directory)
            os.utime("rows.csv", ns=(1, 1))

    with pytest.raises(JobFailed, match="changed while it was scored"):
        score("rows.csv", "out.csv", engine=Meddling())

    assert not Path("out.csv").exists()


def test_the_pinned_version_goes_on_after_a_promotion(rows, registry, score):
    rows.to_csv("rows.csv", index=False)
    uri, said = "models:/plain@production", []
    with pytest.raises(KeyboardInterrupt):
        score("rows.csv", "out.csv", model=uri, engine=HereEngine(1), part_rows=2)
    registry.set_registered_model_alias("plain", "production", "2")
    outcome = score("rows.csv", "out.csv", model=uri, resume=True, said=said)
    assert outcome.manifest["job"]["model"]["version"] == "1"
    assert said == ["going on with plain version 1 after 1 finished parts"]


def test_another_version_cannot_go_on(rows, registry, score):
    rows.to_csv("rows.csv", index=False)
    with pytest.raises(KeyboardInterrupt):
        score("rows.csv", "out.csv", model="models:/plain/1", engine=HereEngine(1), part_rows=2)
    with pytest.raises(JobRefused, match=r"begun with plain version 1.*plain version 2 now"):
        score("rows.csv", "out.csv", model="models:/plain/2", resume=True)


def test_without_a_signature_every_part_has_the_types_of_the_whole_file(score):
    values = [*range(40), 0.5, "x"]
    pd.DataFrame({"n": range(42), "v": values}).to_csv("rows.csv", index=False)
    score("rows.csv", "out.csv", model="types", part_rows=1)
    assert set(pd.read_csv("out.csv")["prediction"]) == {"int64 str"}


def test_a_folder_whose_name_says_nothing_is_named_and_can_be_resumed(rows, made_models, score):
    shutil.copytree(made_models / "plain", "model")
    rows.to_csv("rows.csv", index=False)
    with pytest.raises(KeyboardInterrupt):
        score("rows.csv", "out.csv", model="m=file:model", engine=HereEngine(1), part_rows=2)
    done = score("rows.csv", "out.csv", model="m=file:model", resume=True)
    assert done.manifest["scored"] == len(rows)


def test_the_rows_of_a_query_are_scored_once_and_can_be_resumed(rows, made_models, score, tmp_path):
    import sqlalchemy

    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = sqlalchemy.create_engine(url)
    rows.to_sql("visits", engine, index=False)
    engine.dispose()
    query = "select * from visits order by id"
    with pytest.raises(KeyboardInterrupt):
        score(inputs.Query(url, query, 10), "out.parquet", id_columns=("id",), engine=_Eager(2))
    score(inputs.Query(url, query, 10), "out.parquet", id_columns=("id",), resume=True)
    found = pd.read_parquet("out.parquet")
    assert found["id"].tolist() == rows["id"].tolist()
    pd.testing.assert_series_equal(found["probability"], expected(made_models, rows)["probability"])


class _Eager(HereEngine):
    """Has looked at all parts before it begins, as many workers would."""

    def run(self, job, parts, directory):
        yield from super().run(job, iter(list(parts)), directory)
