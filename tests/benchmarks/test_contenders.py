import json
import sys
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.catalog import BASE, CONTENDERS
from benchmarks.place import Place
from benchmarks.row import Column, Row, read

ROW = Row((Column("age", "double", 1.5), Column("plan", "string", "basic")))


@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_says_how_it_is_started_and_asked(name, tmp_path):
    one = CONTENDERS[name]

    command = one.command(Place(Path(sys.executable), "models:/m@production", 18123, tmp_path))

    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "18123" in " ".join(command) + written
    assert one.ready.startswith("/")
    assert b"basic" in one.question(ROW).body


def test_the_base_of_all_comparisons_is_a_contender():
    assert BASE in CONTENDERS


def test_every_requirements_file_belongs_to_a_contender():
    assert {path.stem for path in environments.REQUIREMENTS.iterdir()} <= set(CONTENDERS)


def test_a_row_survives_being_kept(tmp_path):
    ROW.write(tmp_path / "row.json")
    assert read(tmp_path / "row.json") == ROW


def test_an_open_inference_body_has_a_typed_input_for_each_column():
    age, plan = json.loads(ROW.open_inference())["inputs"]
    assert age == {"name": "age", "shape": [1, 1], "datatype": "FP64", "data": [1.5]}
    assert plan["datatype"] == "BYTES"


def test_another_requirement_means_another_environment():
    assert environments.content_key(["a==1"]) == environments.content_key(["a==1"])
    assert environments.content_key(["a==1"]) != environments.content_key(["a==2"])


def test_a_contender_without_requirements_runs_in_ours(tmp_path):
    assert environments.python_of("mlflow", tmp_path) == Path(sys.executable)
    assert not list(tmp_path.iterdir())
