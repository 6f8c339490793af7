"""Progress on stderr: the current step with a spinner on a terminal, plain lines in a pipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console


@contextmanager
def steps(title: str) -> Iterator[Callable[[str], None]]:
    """Give a function that is told of each step as it begins.

    Args:
        title: what is being done, shown beside the spinner until the first step.
    """
    console = Console(stderr=True, highlight=False)
    started = monotonic()
    if not console.is_terminal:
        yield lambda step: console.print(f"[{monotonic() - started:6.1f} s] {step}", markup=False)
        return
    with console.status(title) as status:
        current = ""

        def say(step: str) -> None:
            nonlocal current
            if current:
                console.print(
                    f"[green]✓[/green] [dim]{monotonic() - started:6.1f} s[/dim] {current}"
                )
            current = step
            status.update(step)

        yield say
        if current:
            console.print(f"[green]✓[/green] [dim]{monotonic() - started:6.1f} s[/dim] {current}")
