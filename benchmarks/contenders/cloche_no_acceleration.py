"""Cloche without accelerated twins: the model itself predicts every row."""

from benchmarks.contenders import cloche
from benchmarks.place import Place

ready = cloche.ready
question = cloche.question


def command(place: Place) -> list[str]:
    """Return the command line that starts the server."""
    return [*cloche.command(place), "--no-acceleration"]
