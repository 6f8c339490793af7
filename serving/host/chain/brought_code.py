"""Compares the code that versions bring: a process imports each module name once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlflow import pyfunc
from mlflow.models import Model

_MODULES = (".py", ".so")  # suffixes of files that are imported
_BYTECODE = "__pycache__"


def brings_other_code(folder: Path, others: Sequence[Path]) -> bool:
    """Return whether a version brings other code than another one under the same name.

    Args:
        folder: The artifacts of the version.
        others: The artifacts of the versions in the process.
    """
    own = _code(folder)
    return any(
        not _same(own[name], theirs[name])
        for theirs in map(_code, others)
        for name in own.keys() & theirs.keys()
    )


def _code(folder: Path) -> dict[str, Path]:
    """Return what a version brings: modules and packages by their name for imports, and files."""
    flavor: dict[str, Any] = Model.load(str(folder)).flavors.get(pyfunc.FLAVOR_NAME, {})
    code = folder / str(flavor.get(pyfunc.CODE) or "code")
    if not code.is_dir():
        return {}
    return {
        one.name.partition(".")[0] if one.is_dir() or one.suffix in _MODULES else one.name: one
        for one in code.iterdir()
        if one.name != _BYTECODE
    }


def _same(one: Path, other: Path) -> bool:
    return _contents(one) == _contents(other)


def _contents(path: Path) -> dict[str, bytes]:
    """Return the files of a module or package; its code may read those that are no code."""
    files = [path] if path.is_file() else path.rglob("*")
    return {
        str(one.relative_to(path)): one.read_bytes()
        for one in files
        if one.is_file() and _BYTECODE not in one.parts
    }
