"""Progress of a job on stderr: a bar on a terminal, a line every ten seconds elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_EVERY_SECONDS = 10.0


class ProgressCallback(Protocol):
    """A callback that receives the progress after each finished part."""

    def __call__(self, *, rows: int, refused: int, done: float | None) -> None:
        """Report the rows so far (including refused ones), and the share of the input if known."""


@contextmanager
def progress(console: Console) -> Iterator[ProgressCallback]:
    """Yield a callback that shows progress on the console."""
    started = monotonic()

    def rate(rows: int) -> str:
        return f"{rows:,} rows, {rows / max(monotonic() - started, 1e-9):,.0f} rows/s"

    if not console.is_terminal:
        reported = started

        def say(*, rows: int, refused: int, done: float | None) -> None:
            nonlocal reported
            if monotonic() - reported < _EVERY_SECONDS:
                return
            reported = monotonic()
            share = "" if done is None else f" ({done:.0%})"
            console.print(f"{rate(rows)}{share}, {refused:,} refused", markup=False)

        yield say
        return
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def draw(*, rows: int, refused: int, done: float | None) -> None:
            text = rate(rows) + (f", {refused:,} refused" if refused else "")
            total = None if done is None else 1.0
            bar.update(task, description=text, total=total, completed=done or 0.0)

        yield draw
