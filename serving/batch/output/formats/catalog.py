"""The list of output formats, each a module beside this one.

A module is imported when its format is asked for: a command line names formats before the libraries
that write them are imported, which takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloche.serving.batch.output.formats.format import ColumnarOutput, TextOutput

OUTPUT_FORMATS = ("parquet", "csv", "jsonl")


def output_format(name: str) -> "TextOutput | ColumnarOutput":
    """Return the format of this name."""
    found: TextOutput | ColumnarOutput = import_module(f"{__package__}.{name}").FORMAT
    return found


def format_of_suffix(suffix: str) -> str | None:
    """Return the name of the format whose files end like this; None if there is none."""
    return next((name for name in OUTPUT_FORMATS if suffix in output_format(name).suffixes), None)
