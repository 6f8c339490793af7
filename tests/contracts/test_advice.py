"""What messages advise to type is listed in `advice.txt`, with the tests that carry it out.

A message that names an option, a variable or a command for the first time in its room fails here:
show it in a test as a user meets it, do what it says, and list it beside the test.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import cloche

ROOT = Path(cloche.__file__).parent
TYPED = re.compile(
    r"(?<![\w-])--[a-z][a-z-]+"  # an option
    r"|\b(?:AWS|CLOCHE|GOOGLE|JAVA|LC|MLFLOW|OTEL|PYSPARK)_[A-Z0-9_]+\b"
    r"|(?<![\w/.-])(?:apt-get|chmod|curl|docker|gcloud|iconv|mlflow|openssl|pip|timedatectl|ulimit"
    r"|cloche(?= (?:accelerate|build|doctor|init|promote|rollout|score|serve|status|train)\b)) "
    r"[a-z-]+\b"
)


def room_of(path: Path) -> str:
    """The folder at the top and the one below it, or the folder at the top."""
    folders = path.parts[:-1]
    return "/".join(folders[:2])


def advised() -> dict[str, set[str]]:
    """Room → what its messages name to be typed."""
    found: dict[str, set[str]] = {}
    for folder in (ROOT, ROOT / "serving", ROOT / "training"):
        for path in folder.resolve().rglob("*.py"):
            room = room_of(path.relative_to(ROOT.resolve().parent))
            for text in messages(ast.parse(path.read_text(encoding="utf-8"))):
                if typed := TYPED.findall(text):
                    found.setdefault(room, set()).update(typed)
    return found


def messages(tree: ast.Module) -> Iterator[str]:
    """The texts of a module that are neither docstrings nor the help of a command."""
    skipped = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))  # a docstring
        named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("HELP")
        declares = isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "click.option", "click.argument", "click.Option", "click.Argument", "click.Command",
            "click.command", "click.version_option",
        )  # fmt: skip
        if named or declares:
            skipped.update(id(below) for below in ast.walk(node))
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in skipped else None
        if isinstance(text, str) and " " in text:
            yield text


def test_what_messages_advise_to_type_is_listed_with_its_tests() -> None:
    lines = Path(__file__).with_name("advice.txt").read_text(encoding="utf-8").splitlines()
    rows = [tuple(cell.strip() for cell in line.split(" | ")) for line in lines]
    assert advised() == {room: set(typed.split(", ")) for room, typed, _ in rows}
    tests = {test for *_, named in rows for test in named.split(", ")}
    assert {one for one in tests if not (Path(__file__).parents[1] / one).is_file()} == set()
