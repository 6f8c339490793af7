"""The list of input formats, each a module beside this one.

A module is imported when its format is needed: a command line names formats before the libraries
that read them are imported, which takes seconds.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.serving.batch.input.formats.format import ColumnarFormat, TextFormat

INPUT_FORMATS = ("csv", "jsonl", "parquet", "arrow")


@cache
def input_format(name: str) -> "TextFormat | ColumnarFormat":
    """Return the format of this name."""
    found: TextFormat | ColumnarFormat = import_module(f"{__package__}.{name}").FORMAT
    return found


def input_formats() -> "list[TextFormat | ColumnarFormat]":
    """Return all formats."""
    return [input_format(name) for name in INPUT_FORMATS]
