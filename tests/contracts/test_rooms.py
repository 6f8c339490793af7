"""Folders stay small enough to be taken in, and names are words of the field."""

import ast
import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_MODULES = 15  # of a folder; one that needs more is divided into rooms
# Names that only their author understood. What replaced them is in the words of ARCHITECTURE.md.
PRIVATE = frozenset(
    [
        "agenda", "agreement", "asked", "claim", "corked", "crew", "dividing", "door", "early",
        "examination", "familiar", "finding", "house", "joined", "kitchen", "leaving", "lifeline",
        "likeness", "observed", "original", "patience", "pieces", "place", "question", "ration",
        "restraint", "strange", "supply", "tally", "told", "waiting", "watch", "weight",
    ]
)  # fmt: skip


def modules(*folders: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in listed.splitlines() if name.endswith(".py")]


def test_no_folder_has_more_modules_than_a_reader_takes_in():
    counted = Counter(
        path.parent.relative_to(ROOT)
        for path in modules("cloche", "serving", "training", "benchmarks/scaling")
        if path.name != "__init__.py"
    )
    assert {str(folder): n for folder, n in counted.items() if n > MOST_MODULES} == {}


def test_no_module_class_or_function_has_a_name_that_only_its_author_knows():
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules("cloche", "serving", "training")
        for name in (path.stem, *named(path))
        if name.strip("_").lower() in PRIVATE
    ]
    assert found == []


def named(path: Path) -> list[str]:
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node.name for node in nodes if isinstance(node, kinds)]
