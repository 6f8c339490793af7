"""Formatting of the help pages that click wraps."""

from collections.abc import Iterable

import click

_HYPHEN, _UNBREAKABLE = "-", "\N{NON-BREAKING HYPHEN}"
_NARROW = 78  # columns; below this, an option's name and its text do not fit side by side


class HelpFormatter(click.HelpFormatter):
    """Wraps help pages between words only, since a name broken at its hyphen cannot be copied."""

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(text.replace(_HYPHEN, _UNBREAKABLE))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write a definition list: names, with the description beside or below each."""
        rows = [(name, text.replace(_HYPHEN, _UNBREAKABLE)) for name, text in rows]
        super().write_dl(rows, col_max if self.width >= _NARROW else col_max // 2, col_spacing)

    def getvalue(self) -> str:
        """Return the text of the help page."""
        return super().getvalue().replace(_UNBREAKABLE, _HYPHEN)


class HelpContext(click.Context):
    """The context of a command whose help is written by `HelpFormatter`."""

    formatter_class = HelpFormatter
