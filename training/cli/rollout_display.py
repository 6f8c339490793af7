"""How the looks at a rollout are shown: a live table, lines in a pipe, or lines of JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cloche.rollout.verdict import percentage

if TYPE_CHECKING:
    from cloche.training.rollout.driver import Display
    from cloche.training.rollout.look import Look

_REPEAT = timedelta(minutes=1)  # after which a pipe gets a line that says nothing new
_STYLES = {"advance": "green", "hold": "yellow", "abort": "red"}


@contextmanager
def displayed(*, as_json: bool) -> "Iterator[Display]":
    """Yield what shows the looks on this standard output."""
    console = Console(highlight=False)
    if as_json:
        yield JsonDisplay()
    elif not console.is_terminal:
        yield LinesDisplay()
    else:
        with Live(console=console, auto_refresh=False) as live:
            yield LiveDisplay(live)


class JsonDisplay:
    """Writes each look as a line of JSON, and sentences to standard error."""

    def show(self, look: "Look") -> None:
        """Show a look."""
        click.echo(json.dumps(look.as_document()))

    def say(self, sentence: str) -> None:
        """Show what happens."""
        click.echo(sentence, err=True)


class LinesDisplay:
    """Writes a line when the step, the state or the decision is another, and each minute."""

    def __init__(self) -> None:
        self._last: Look | None = None

    def show(self, look: "Look") -> None:
        """Show a look."""
        last = self._last
        same = last is not None and _essence(last) == _essence(look)
        if last is not None and same and look.at - last.at < _REPEAT:
            return
        self._last = look
        click.echo(f"{look.at:%H:%M:%S} {look.sentence}")

    def say(self, sentence: str) -> None:
        """Show what happens."""
        click.echo(sentence)


class LiveDisplay:
    """Draws the last look in place, below the sentences."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, look: "Look") -> None:
        """Show a look."""
        self._live.update(table(look), refresh=True)

    def say(self, sentence: str) -> None:
        """Show what happens."""
        self._live.console.print(sentence, markup=False, soft_wrap=True)


def table(look: "Look") -> Group:
    """Return a look as a table, with what is missing below it."""
    state, plan = look.state, look.state.plan
    title = Text(f"{state.label}, {state.word}: {look.step.title(plan)}", "bold")
    arms = Table(box=box.SIMPLE_HEAD)
    for name in ("arm", "version", "requests", look.bad_word, "rate"):
        arms.add_column(name, justify="left" if name == "arm" else "right")
    for arm, rate in look.arms.items():
        version = state.version if arm == look.step.alias else look.step.production
        cells = (arm, version, f"{rate.requests:,}", f"{rate.bad:,}", percentage(rate.value))
        arms.add_row(*map(Text, cells))
    style = _STYLES[look.verdict.decision]
    reasons = [Text(f"  {reason}") for reason in look.reasons]
    servers = f"{len(state.servers)} server{'' if len(state.servers) == 1 else 's'}"
    since = f"{servers}, in this step since {look.step.since:%Y-%m-%d %H:%M} UTC"
    return Group(title, arms, Text(f"{look.verdict.decision}, {since}", style), *reasons)


def _essence(look: "Look") -> tuple[object, ...]:
    return look.state.word, look.step, look.verdict.decision, look.silence
