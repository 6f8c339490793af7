"""The tables of docs/promises: each row names tests, and they are there."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = ("what it does", "what happens", "test")


def rows() -> list[tuple[str, ...]]:
    """File, what it does, what happens, test: the cells of all rows without the heads."""
    found = []
    for path in sorted((ROOT / "docs" / "promises").glob("*.md")):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
        cells = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]
        found += [(path.name, *row) for row in cells if row[0][:3] != "---" and row != HEAD]
    return found


@functools.cache
def functions(path: str) -> set[str]:
    """The names of the test functions in a file, also those in classes."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if hasattr(node, "name")}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}: {row[1][:60]}")
def test_each_promise_names_tests_that_exist(row: tuple[str, ...]) -> None:
    assert len(row) == 1 + len(HEAD), f"a row has {len(HEAD)} cells, divided by ' | '"
    *_, tests = row
    for test in tests.split(", "):
        path, _, name = test.strip("`").partition("::")
        assert (ROOT / path).is_file(), f"{path} is not there"
        assert name in functions(path), f"{path} has no {name}"
