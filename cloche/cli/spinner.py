"""Progress on stderr: the current step with a spinner on a terminal, plain lines in a pipe."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

from rich.console import Console
from rich.markup import escape

from cloche.values.progress import Say

# A pipe has no spinner: after this many seconds without a line, the running step is named again.
REPEAT_SECONDS = 5.0


@contextmanager
def steps(title: str, repeat: float = REPEAT_SECONDS) -> Iterator[Say]:
    """Yield a function to be called with the description of each step as it begins.

    Args:
        title: Description of the whole work, shown at once, and until the first step.
        repeat: In a pipe, the seconds without a line after which the step is named again.
    """
    console = Console(stderr=True, highlight=False)
    started = monotonic()
    done = "[green]✓[/green] [dim]{:6.1f} s[/dim] {}"
    if not console.is_terminal:
        with _lines(console, title, started, repeat) as write:
            yield write
        return
    with console.status(escape(title)) as status:
        current = ""

        def say(step: str) -> None:
            nonlocal current
            if current:
                console.print(done.format(monotonic() - started, escape(current)))
            current = step
            status.update(escape(step))

        yield say
        if current:
            console.print(done.format(monotonic() - started, escape(current)))


@contextmanager
def _lines(console: Console, title: str, started: float, repeat: float) -> Iterator[Say]:
    """Write a line for each step, and repeat the line of a step that takes long."""
    current, told, ended = title, Event(), Event()

    def write(line: str) -> None:
        # The line is not wrapped, because the reader of a pipe wraps lines itself.
        seconds = monotonic() - started
        console.print(f"[{seconds:6.1f} s] {line}", markup=False, soft_wrap=True)

    def say(step: str) -> None:
        nonlocal current
        current = step
        told.set()
        write(step)

    def repeat_what_takes_long() -> None:
        while not ended.is_set():
            if not told.wait(repeat):
                write(f"still at work: {current}")
            told.clear()

    write(title)
    repeating = Thread(target=repeat_what_takes_long, name="progress", daemon=True)
    repeating.start()
    try:
        yield say
    finally:
        ended.set()
        told.set()
        repeating.join()
