"""What is told of an error names columns and types, and shows nothing that stood in the rows."""

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, Schema

from cloche.values.redaction import CUT, describe_error, trace

ROWS = pd.DataFrame(
    {
        "name": ["Alice Liddell", "O'Hara", "이순신", "a"],
        "age": [37, 41, 8, 90],
        "income": [51234.5, -0.000123, 7e9, np.nan],
        "tags": [["gold", "vip"], [], None, ["gold"]],
        "born": pd.to_datetime(["1988-04-01", "1984-01-02", "2017-05-05", "1935-12-24"]),
        "note": [b"\x01secret", b"", None, b"x"],
    }
)
SECRETS = ["Alice", "Liddell", "O'Hara", "이순신", "37", "51234", "gold", "vip", "1988", "secret"]


def _raised(work):
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever a library says
        work()
    return caught.value


MESSAGES = [
    ValueError("could not convert string to float: 'Alice Liddell'"),
    ValueError(f"bad rows:\n{ROWS}"),
    ValueError(f"bad row: {ROWS.iloc[0].to_dict()}"),
    ValueError(f"bad row: {ROWS.iloc[0].tolist()}"),
    ValueError(f"{ROWS}"),
    ValueError("nobody knows Alice Liddell, aged 37, who earns 51234.5 (51234.50, 5.123e+04)"),
    ValueError("nobody knows ALICE LIDDELL"),
    ValueError(
        "Found unknown categories ['Alice Liddell', \"O'Hara\"] in column 0 during transform"
    ),
    KeyError("Alice Liddell"),
    KeyError("alice"),
    KeyError(37),
    TypeError("unhashable: ['gold', 'vip']"),
    AssertionError("이순신 was not expected"),
    RuntimeError("Alice Liddell 37 " * 200),
]


@pytest.mark.parametrize("error", MESSAGES, ids=[str(at) for at in range(len(MESSAGES))])
def test_values_of_the_rows_are_cut_from_a_message(error):
    for shown in (describe_error(error, ROWS), trace(error, ROWS)):
        assert type(error).__name__ in shown
        assert not [secret for secret in SECRETS if secret.lower() in shown.lower()]
        assert len(shown) < 400


LIBRARIES = [
    lambda: ROWS["name"].astype("float64"),
    lambda: ROWS["income"].astype("int64"),
    lambda: pd.to_datetime(ROWS["name"], format="%Y-%m-%d"),
    lambda: np.array(["Alice Liddell"], dtype="float64"),
    lambda: pd.DataFrame(ROWS.to_dict("list") | {"more": ["Alice Liddell"]}),
    lambda: __import__("pyarrow").array(["Alice Liddell"]).cast("int64"),
    lambda: __import__("pyarrow").array([37, "Alice Liddell"]),
]


@pytest.mark.parametrize("work", LIBRARIES, ids=[str(at) for at in range(len(LIBRARIES))])
def test_messages_of_libraries_show_no_values_even_where_the_rows_are_not_at_hand(work):
    error = _raised(work)
    for shown in (describe_error(error), describe_error(error, ROWS)):
        assert not [secret for secret in SECRETS if secret in shown]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("columns are missing: {'wind', 'age'}", "columns are missing: {'wind', 'age'}"),
        ("X has 5 features, Linear expects 4", "X has 5 features, Linear expects 4"),
        ("Can not safely convert float64 to int64.", "Can not safely convert float64 to int64."),
        ("'MYAPP_TOKEN'", "'MYAPP_TOKEN'"),
        ("it holds a 37", f"it holds a {CUT}"),
    ],
)  # fmt: skip
def test_names_of_columns_types_and_variables_stay(said, kept):
    assert describe_error(ValueError(said), ROWS) == f"ValueError: {kept}"


class Anything:
    def predict(self, rows):
        return rows


def test_a_table_that_mlflow_quotes_is_cut_and_the_cause_stays():
    schema = Schema([ColSpec("string", "name"), ColSpec("long", "income")])
    model = PyFuncModel(Model(signature=ModelSignature(schema)), Anything())
    error = _raised(lambda: model.predict(ROWS))
    assert isinstance(error, MlflowException)
    assert "Alice" in str(error), "MLflow quotes rows"

    assert describe_error(error, ROWS).startswith(
        "MlflowException: Incompatible input types for column income. Can not safely convert "
        "float64 to int64."
    )
    assert describe_error(MlflowException(str(error))) == "MlflowException"


@pytest.mark.parametrize(
    ("error", "rows"),
    [
        (ModuleNotFoundError("No module named 'lightgbm.basic'"), None),
        (ModuleNotFoundError("No module named 'lightgbm.basic'"), ROWS),
        (FileNotFoundError(2, "No such file or directory", "/models/a file"), None),
    ],
)
def test_modules_and_files_that_are_not_there_are_named(error, rows):
    assert describe_error(error, rows) == f"{type(error).__name__}: {error}"


def test_a_file_that_a_row_may_name_is_not():
    error = FileNotFoundError(2, "No such file or directory", "/people/Alice Liddell")
    assert "Alice" not in describe_error(error, ROWS)
