"""The option that names a file for an HTML page."""

from pathlib import Path
from typing import Any

import click

_BEGINNING = b"<!doctype html"


class PageFile(click.Path):
    """A file that a page is written to: a new one, an empty one or an older page.

    Anything else that lies there is somebody's data, perhaps what the page tells about.
    """

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path.

        Raises:
            click.UsageError: What lies there is no page.
        """
        path = Path(str(super().convert(value, param, ctx)))
        if path.is_file():
            with path.open("rb") as file:
                beginning = file.read(len(_BEGINNING))
            if beginning and beginning.lower() != _BEGINNING:
                self.fail(f"{path} is there already and is no HTML page; name another file.", param)
        return path
