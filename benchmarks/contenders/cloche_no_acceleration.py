"""Cloche without accelerated twins: every version is scored by its own model."""

from benchmarks.contenders import cloche
from benchmarks.place import Place

ready = cloche.ready
question = cloche.question


def command(place: Place) -> list[str]:
    """How it is started."""
    return [*cloche.command(place), "--no-acceleration"]
