"""A chain is one MLflow model with the inputs of its first stage and the answers of its model."""

import warnings
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import Model
from mlflow.pyfunc import PythonModel

from cloche.registry.stage_chain import ChainMisfit, Member, write_chain
from tests.lifecycle import make_stages

ROWS = pd.DataFrame({"a": [0.0, 1.0, 2.5]})


def _members(folder: Path, *kinds: str) -> list[Member]:
    members = []
    for number, kind in enumerate(kinds, start=1):
        place = folder / f"{number} 변환"
        make_stages.save(place, number, kind)
        members.append(Member(f"{kind} {number}", place))
    return members


def test_a_chain_answers_as_its_versions_one_after_the_other(tmp_path: Path) -> None:
    members = _members(tmp_path, make_stages.STAGE, make_stages.MODEL)

    write_chain(tmp_path / "chain", members)

    stage, model = (mlflow.pyfunc.load_model(str(one.folder)) for one in members)
    chain = mlflow.pyfunc.load_model(str(tmp_path / "chain"))
    assert chain.predict(ROWS) == model.predict(stage.predict(ROWS)) == [1002.0, 2002.0, 3502.0]


def test_a_chain_has_the_inputs_and_the_example_of_its_first_stage(tmp_path: Path) -> None:
    write_chain(tmp_path / "chain", _members(tmp_path, make_stages.STAGE, make_stages.MODEL))

    chain = Model.load(str(tmp_path / "chain"))

    assert chain.get_input_schema().input_names() == ["a"]
    assert chain.get_output_schema().input_types()[0].name == "double"
    assert '"a"' in str(chain.get_serving_input(str(tmp_path / "chain")))
    assert list(chain.load_input_example(str(tmp_path / "chain")).columns) == ["a"]


def test_a_stage_by_type_hints_takes_what_they_say(tmp_path: Path) -> None:
    class Hinted(PythonModel):
        def predict(self, model_input: list[dict[str, float]]) -> pd.DataFrame:
            return pd.DataFrame([{"b": one["a"] + 1} for one in model_input])

    with warnings.catch_warnings(action="ignore"):
        mlflow.pyfunc.save_model(
            tmp_path / "hinted", python_model=Hinted(), pip_requirements=[],
            input_example=[{"a": 0.0}],
        )  # fmt: skip
    (model,) = _members(tmp_path, make_stages.MODEL)
    write_chain(tmp_path / "chain", [Member("hinted 1", tmp_path / "hinted"), model])

    chain = mlflow.pyfunc.load_model(str(tmp_path / "chain"))
    assert chain.predict([{"a": 0.0}, {"a": 1.0}]) == [1001.0, 2001.0]


def test_lists_are_handed_on_as_in_one_process(tmp_path: Path) -> None:
    class Tokens(PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return pd.DataFrame({"b": [[str(value), None] for value in model_input["a"]]})

    class Types(PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return [f"{type(cell).__name__} {cell}" for cell in model_input["b"]]

    members = []
    for made in (Tokens(), Types()):
        members.append(Member(type(made).__name__, tmp_path / type(made).__name__))
        with warnings.catch_warnings(action="ignore"):  # that a hint of `Any` tells it nothing
            mlflow.pyfunc.save_model(members[-1].folder, python_model=made, pip_requirements=[])
    write_chain(tmp_path / "chain", members)

    chain = mlflow.pyfunc.load_model(str(tmp_path / "chain"))
    assert chain.predict(ROWS.head(1)) == ["list ['0.0', None]"]


def test_versions_that_do_not_fit_are_refused_with_the_column(tmp_path: Path) -> None:
    members = _members(tmp_path, make_stages.WRONG_COLUMN, make_stages.MODEL)

    with pytest.raises(ChainMisfit, match="takes 'b', which the stage before it"):
        write_chain(tmp_path / "chain", members)


def test_a_stage_with_another_number_of_rows_is_told(tmp_path: Path) -> None:
    write_chain(tmp_path / "chain", _members(tmp_path, make_stages.STAGE, make_stages.MODEL))
    chain = mlflow.pyfunc.load_model(str(tmp_path / "chain"))

    with pytest.raises(Exception, match=r"The stage .* with one row; it answered 2 with 1"):
        chain.predict(pd.DataFrame({"a": [0.0, make_stages.SHORT]}))


@pytest.mark.parametrize("differs", ["", "__init__.py", "data.csv", "__pycache__/x.pyc"])
def test_code_of_one_name_must_be_the_same(tmp_path: Path, differs: str) -> None:
    members = _members(tmp_path, make_stages.STAGE, make_stages.MODEL)
    for number, member in enumerate(members):
        for name in ("__init__.py", "data.csv", "__pycache__/x.pyc"):
            file = member.folder / "code" / "features" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"NUMBER = {number if name == differs else 0}\n")

    if differs in ("__init__.py", "data.csv"):
        with pytest.raises(ChainMisfit, match="both bring code named 'features'"):
            write_chain(tmp_path / "chain", members)
    else:
        write_chain(tmp_path / "chain", members)


def test_requirements_are_those_of_all_versions(tmp_path: Path) -> None:
    members = _members(tmp_path, make_stages.STAGE, make_stages.MODEL)
    wheel = members[0].folder / "wheels" / "own-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    (members[0].folder / "requirements.txt").write_text("pandas\nwheels/own-1.0-py3-none-any.whl\n")
    (members[1].folder / "requirements.txt").write_text("pandas\nnumpy\n")

    write_chain(tmp_path / "chain", members)

    lines = (tmp_path / "chain" / "requirements.txt").read_text().splitlines()
    assert lines == ["pandas", "0/wheels/own-1.0-py3-none-any.whl", "numpy"]
    assert (tmp_path / "chain" / lines[1]).is_file()
