"""KServe's Python package in an environment of its own: its libraries are not those of Cloche."""

from pathlib import Path

from tests import apart


def python() -> Path:
    """The interpreter that has it."""
    return apart.programs("kserve") / "python"


def models() -> Path:
    """The modules with the types of its objects, to be read as text."""
    (path,) = python().parents[1].glob("lib/python*/site-packages/kserve/models")
    return path
