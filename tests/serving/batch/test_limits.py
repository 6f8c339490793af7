"""What parsers cannot take is one refused row, in every format, and never a trace."""

import json
from pathlib import Path

import pandas as pd
import pytest

from cloche.serving.batch.input.readers.jsonlines import MOST_NESTED, nesting
from tests.serving.batch.conftest import table

pytestmark = pytest.mark.xdist_group("batch")
GOOD = {"id": "1", "a": 1.0, "b": 1, "c": "x"}


def nested(depth: int) -> str:
    return json.dumps(GOOD)[:-1] + f', "z": {"[" * depth}{"]" * depth}}}'


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("model", ["plain", "seen"])
def test_json_lines_end_in_quarantine_row_by_row(keep, model, score):
    brackets = json.dumps(GOOD | {"c": "[" * 400})
    deep = [nested(depth) for depth in (MOST_NESTED, 900, 990, 1000, 50_000)]
    odd = ["", "1" * 5000, "\0", '{"a": ' + "9" * 5000 + "}", "[]", '{"a"'][1:]
    lines = [json.dumps(GOOD), brackets, nested(MOST_NESTED - 1), *deep, *odd]
    Path("rows.jsonl").write_text("\n".join(lines))
    outcome = score("rows.jsonl", "out.jsonl", model=model, keep=keep, part_rows=100_000)
    assert outcome.manifest["scored"] == 3
    assert outcome.manifest["reasons"] == {
        f"the row is nested more than {MOST_NESTED} deep": len(deep),
        "the row is not a JSON object": len(odd),
    }


def test_csv_takes_long_cells_and_refuses_nul_and_huge_numbers_where_numbers_are_due(score):
    cells = [
        ("1", "1", '"' + "[" * 50_000 + '"'), ("1", "9" * 5000, "x"), ("1", "\0", "x"),
        ("1", "1", "x" * 200_000), ("x", "1", "y" * 200_000),
    ]  # fmt: skip
    Path("rows.csv").write_text("a,b,c\n" + "".join(",".join(row) + "\n" for row in cells))
    outcome = score("rows.csv", "out.csv", part_rows=100_000)
    assert outcome.manifest["scored"] == 2
    assert outcome.manifest["reasons"] == {
        "column 'b': expected long": 2, "column 'a': expected double": 1,
    }  # fmt: skip


def test_only_brackets_outside_of_texts_nest():
    assert nesting(b"[" * 300 + b"]" * 300) == 300
    assert nesting(rb'{"a\"[": "' + b"[" * 300 + b'"}') == 1
    assert (
        pd.Series([nesting(json.dumps(row).encode()) for row in table(3).to_dict("records")])
        .eq(1)
        .all()
    )
