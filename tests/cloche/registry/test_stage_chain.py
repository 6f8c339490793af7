"""A chain is one MLflow model with the inputs of its first stage and the answers of its model."""

import sys
import warnings
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import pandas as pd
import pytest
from mlflow.models import Model
from mlflow.pyfunc import PythonModel

from cloche.registry.stage_chain import ChainMisfit, Member, write_chain
from cloche.values.redaction import raised_in
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


def test_versions_whose_code_differs_under_one_name_answer_each_by_its_own(tmp_path: Path) -> None:
    """One of them runs in a process of its own."""
    members = []
    for number, member in enumerate(_members(tmp_path, make_stages.STAGE, make_stages.MODEL), 1):
        code = tmp_path / f"code {number}" / "features.py"
        code.parent.mkdir()
        code.write_text(f"NUMBER = {number}\n")
        place = tmp_path / f"coded {number}"
        description = Model.load(str(member.folder))
        with warnings.catch_warnings(action="ignore"):
            mlflow.pyfunc.save_model(
                place, python_model=Coded(), code_paths=[str(code)], pip_requirements=[],
                signature=description.signature,
            )  # fmt: skip
        members.append(Member(f"coded {number}", place))

    write_chain(tmp_path / "chain", members)

    chain = mlflow.pyfunc.load_model(str(tmp_path / "chain"))
    assert chain.predict(ROWS)["b"].tolist() == [12.0, 112.0, 262.0]
    with pytest.raises(Exception, match="missing inputs") as failure:
        chain.get_raw_model().predict(ROWS.rename(columns={"a": "c"}))
    assert raised_in(failure.value) == "stage coded 1"


class Coded(PythonModel):
    """Appends a digit, which is that of the module that it brings."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        from features import NUMBER

        return pd.DataFrame({"b": 10 * model_input.iloc[:, 0] + NUMBER})


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the class travels with its model
