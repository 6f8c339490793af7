"""The list of input formats, each a module beside this one.

A module is imported when its format is asked for: a command line names formats before the libraries
that read them are imported, which takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.serving.batch.input.formats.format import ColumnarInput, TextInput

INPUT_FORMATS = ("csv", "jsonl", "parquet", "arrow")


def input_format(name: str) -> "TextInput | ColumnarInput":
    """Return the format of this name."""
    found: TextInput | ColumnarInput = import_module(f"{__package__}.{name}").FORMAT
    return found


def input_formats() -> "list[TextInput | ColumnarInput]":
    """Return all formats."""
    return [input_format(name) for name in INPUT_FORMATS]


def format_of_suffix(suffix: str) -> str | None:
    """Return the name of the format whose files end like this; None if there is none."""
    return next((name for name in INPUT_FORMATS if suffix in input_format(name).suffixes), None)
