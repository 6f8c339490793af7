"""Every kind of answer that a model can give to three rows, and a model that gives them.

Run as a script, `python answers.py DIRECTORY`, it saves that model: with a signature, without one,
and with outputs of the signature that may be missing.
"""

import datetime as dt
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema
from scipy import sparse

ROWS = 3
ODD = 2**53 + 1  # the first whole number that no float64 holds
_NAN, _INF = float("nan"), float("inf")
_MOMENT = dt.datetime(2020, 1, 2, 3, 4, 5, 678_901)  # noqa: DTZ001  # models answer such
_MOMENTS = ["2020-01-02T03:04:05", "NaT", "1990-01-01"]


def _integers() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for bits in (8, 16, 32, 64):
        for sign in ("int", "uint"):
            limits = np.iinfo(f"{sign}{bits}")
            edges = [int(limits.min), int(limits.max), min(ODD, int(limits.max))]
            nullable = f"{'Int' if sign == 'int' else 'UInt'}{bits}"
            found[f"{sign}{bits}"] = pd.Series(edges, dtype=f"{sign}{bits}")
            found[nullable] = pd.Series(edges, dtype=nullable)
            found[f"{nullable} gap"] = pd.Series([edges[1], None, edges[2]], dtype=nullable)
            arrow = pd.ArrowDtype(getattr(pa, f"{sign}{bits}")())
            found[f"arrow {sign}{bits} gap"] = pd.Series([edges[1], None, edges[2]], dtype=arrow)
    return found


def _floats() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for bits in (16, 32, 64):
        limits = np.finfo(f"float{bits}")
        edges = [float(limits.max), float(limits.smallest_subnormal), 0.1]
        found[f"float{bits}"] = pd.Series(edges, dtype=f"float{bits}")
        found[f"float{bits} gap"] = pd.Series([0.1, _NAN, -0.0], dtype=f"float{bits}")
        found[f"float{bits} infinite"] = pd.Series([_INF, -_INF, _NAN], dtype=f"float{bits}")
        if bits > 16:  # pandas has no narrower ones
            found[f"Float{bits} gap"] = pd.Series([0.1, None, _INF], dtype=f"Float{bits}")
            arrow = pd.ArrowDtype(getattr(pa, f"float{bits}")())
            found[f"arrow float{bits} gap"] = pd.Series([0.1, None, -_INF], dtype=arrow)
    return found


def _moments() -> dict[str, Any]:
    found: dict[str, Any] = {
        f"datetime64[{unit}]": pd.Series(np.array(_MOMENTS, f"M8[{unit}]"))
        for unit in ("s", "ms", "us", "ns")
    }
    zoned = pd.to_datetime(pd.Series(_MOMENTS), format="ISO8601", utc=True)
    return found | {
        "datetime64[s] of other millennia": pd.Series(
            np.array(["0001-01-01", "9999-12-31", "NaT"], "M8[s]")
        ),
        "nanoseconds": pd.Series(np.array(["2020-01-01T00:00:00.123456789"] * 3, "M8[ns]")),
        "nanoseconds as objects": _objects(pd.Timestamp(1577836800123456789), None, None),
        "zoned": zoned,
        "in Berlin": zoned.dt.tz_convert("Europe/Berlin"),
        "datetimes": _objects(_MOMENT, None, _MOMENT),
        "dates": _objects(dt.date(2020, 1, 2), None, dt.date(1, 1, 1)),
        "dates and datetimes": _objects(dt.date(2020, 1, 2), _MOMENT, None),
        "zoned and not": _objects(_MOMENT, _MOMENT.replace(tzinfo=dt.UTC), None),
        "times": _objects(dt.time(1, 2, 3), None, dt.time(1, 2, 3, 4)),
        "arrow timestamp": pd.Series(
            [_MOMENT, None, None], dtype=pd.ArrowDtype(pa.timestamp("us"))
        ),
        "arrow date": pd.Series(
            [dt.date(2020, 1, 2), None, None], dtype=pd.ArrowDtype(pa.date32())
        ),
    }


def _texts() -> dict[str, Any]:
    words = ['with, comma and "quotes"', None, "two\r\nlines 한국어"]
    arrow = pd.ArrowDtype(pa.string())
    return {
        "str": pd.Series(words),
        "str without a gap": pd.Series(["", "NaN", "null"]),
        "string": pd.Series(words, dtype="string"),
        "arrow string": pd.Series(words, dtype=arrow),
        "objects": _objects(*words),
        "objects with NaN": _objects("a", _NAN, "b"),
        "half a character": _objects("\ud800", None, "a"),
        "category": pd.Series(["a", None, "b"], dtype="category"),
        "category of numbers": pd.Series([ODD, 1, ODD], dtype="category"),
        "bytes": _objects(b"\x00\xff", None, b"a" * 100),
        "arrow bytes": pd.Series([b"\x00\xff", None, b""], dtype=pd.ArrowDtype(pa.binary())),
    }


def _others() -> dict[str, Any]:
    numbers = pd.ArrowDtype(pa.list_(pa.int64()))
    struct = pd.ArrowDtype(pa.struct([("a", pa.int64())]))
    return {
        "bool": pd.Series([True, False, True]),
        "boolean": pd.Series([True, False, True], dtype="boolean"),
        "boolean gap": pd.Series([True, None, False], dtype="boolean"),
        "booleans": _objects(True, None, False),
        "arrow bool gap": pd.Series([True, None, False], dtype=pd.ArrowDtype(pa.bool_())),
        "whole objects": _objects(ODD, None, -1),
        "whole objects of more than 64 bits": _objects(2**70, None, 1),
        "whole objects of 64 bits without a sign": _objects(2**64 - 1, None, 1),
        "whole and broken": _objects(1, 1.5, None),
        "whole beyond floats and broken": _objects(ODD, 1.5, None),
        "broken and true": _objects(1.5, True, None),
        "numbers and text": _objects(1, "a", None),
        "text and bytes": _objects("a", b"a", None),
        "nothing": _objects(None, None, None),
        "sparse": pd.Series(pd.arrays.SparseArray([0, 1, 0])),
        "big-endian": pd.Series(np.array([1, 2, 3], ">i4")),
        "lists": _objects([1, 2], None, []),
        "lists with gaps": _objects([1.5, None], [_NAN], [0.1]),
        "lists of infinities": _objects([1.5, _INF], [_NAN], [-_INF]),
        "arrays": _objects(np.array([1.5, _NAN]), None, np.array([])),
        "narrow arrays": _objects(np.array([0.1], "f4"), None, np.array([], "f4")),
        "tuples": _objects((1, 2), (3,), ()),
        "dictionaries": _objects({"a": 1, "b": [ODD]}, None, {"a": 2, "b": []}),
        "dictionaries of infinities": _objects({"a": _INF}, {"a": 1.0}, {"a": _NAN}),
        "dictionaries without likeness": _objects(
            {"a": 1}, None, {"a": "x", "b": [1, {"c": None}]}
        ),
        "empty dictionaries": _objects({}, {}, {}),
        "lists and text": _objects([1], "a", None),
        "arrow list": pd.Series([[1], None, [2, None]], dtype=numbers),
        "arrow struct": pd.Series([{"a": 1}, None, {"a": None}], dtype=struct),
    }


def _objects(*cells: Any) -> pd.Series:
    return pd.Series(list(cells), dtype=object)


# a column of a frame, of a series and so on
COLUMNS: dict[str, Any] = _integers() | _floats() | _moments() | _texts() | _others()

# MLflow gives these from `pyfunc`, and cannot write them as JSON; what stands in text instead
UNWRITABLE: dict[str, tuple[pd.Series, list[str | None]]] = {
    "timedelta": (
        pd.Series(pd.to_timedelta([1, None, -3], unit="s")),
        ["0 days 00:00:01", None, "-1 days +23:59:57"],
    ),
    "decimals": (_objects(Decimal("1.10"), None, Decimal("2.25")), ["1.10", None, "2.25"]),
    "arrow decimals": (
        pd.Series([Decimal("1.1"), None, None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
        ["1.10", None, None],
    ),
    "periods": (
        pd.Series(pd.period_range("2020-01", periods=ROWS, freq="M")),
        ["2020-01", "2020-02", "2020-03"],
    ),
}

# whole answers, not frames of one column
ANSWERS: dict[str, Any] = {
    "array": np.array([0.1, _NAN, _INF]),
    "array of whole numbers": np.array([ODD, -1, 2**63 - 1]),
    "narrow array": np.array([0.1, 1e-40, 3.4e38], "f4"),
    "array of text": np.array(["a", "", "é"]),
    "array of bytes": np.array([b"a", b"\xff", b""]),
    "array of objects": np.array(["a", None, 1], object),
    "array of days": np.array(["2020-01-01", "NaT", "1990-01-01"], "M8[D]"),
    "series": pd.Series([1, None, ODD], dtype="Int64"),
    "matrix of one column": np.array([[0.1], [0.2], [_NAN]]),
    "matrix": np.array([[1, ODD], [3, 4], [5, 6]]),
    "three axes": np.arange(12.0).reshape(3, 2, 2),
    "list": [1, None, ODD],
    "list of floats": [0.1, _NAN, _INF],
    "list of numpy's": [np.float32(0.1), np.int64(ODD), None],
    "list of text": ["a", None, "b"],
    "list of lists": [[1, 2], [3], []],
    "records": [{"a": ODD, "b": "x"}, {"a": None, "b": None}, {"a": 1, "b": "y"}],
    "records without likeness": [{"a": 1}, {"a": 2, "b": "x"}, {"b": None}],
    "dictionary of lists": {"a": [ODD, None, 1], "b": [0.1, _NAN, None]},
    "dictionary of arrays": {"a": np.array([ODD, 1, 2]), "b": np.array([[1], [2], [3]])},
    "frame": pd.DataFrame(
        {"because": pd.Series([None, "x", "y"]), "many": pd.Series([ODD, None, 1], dtype="Int64")}
    ),
    "frame with an index": pd.DataFrame({"a": [1, 2, 3]}, index=[7, 7, 7]),
    "frame of numbered columns": pd.DataFrame([[1, "a"], [2, "b"], [3, None]]),
    "sparse matrix": sparse.csr_matrix(np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]])),
} | {f"column: {name}": pd.DataFrame({"y": column}) for name, column in COLUMNS.items()}
ANSWERS |= {
    f"unwritable: {name}": pd.DataFrame({"y": one}) for name, (one, _) in UNWRITABLE.items()
}


class Answering(PythonModel):
    """Answers what the rows name."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return ANSWERS[model_input["kind"].iloc[0]]


KIND = Schema([ColSpec("string", "kind")])
SIGNATURES = {
    "signature": ModelSignature(KIND),
    "no_signature": None,
    "optional_outputs": ModelSignature(KIND, Schema([ColSpec("long", "y", required=False)])),
}


def main(directory: Path) -> None:
    """Save the models."""
    for name, signature in SIGNATURES.items():
        mlflow.pyfunc.save_model(
            directory / name, python_model=Answering(), signature=signature, pip_requirements=[]
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
