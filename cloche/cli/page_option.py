"""The type of options that name an output file for an HTML page."""

from pathlib import Path
from typing import Any

import click

_BEGINNING = b"<!doctype html"


class PageFile(click.Path):
    """A file for an HTML page: a new file, an empty file or an older HTML page.

    Any other existing file holds data, perhaps the data that the page describes, and is kept.
    """

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the option's value to a path.

        Raises:
            click.UsageError: The file exists and is not an HTML page.
        """
        path = Path(str(super().convert(value, param, ctx)))
        if path.is_file():
            with path.open("rb") as file:
                beginning = file.read(len(_BEGINNING))
            if beginning and beginning.lower() != _BEGINNING:
                self.fail(f"{path} is there already and is no HTML page; name another file.", param)
        return path
