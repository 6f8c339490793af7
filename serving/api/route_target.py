"""Whom a prediction request is for, and in which form it is answered."""

from typing import NamedTuple

from cloche.serving.api.error_formats import ErrorFormat
from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.web.asgi import HttpError


class RouteTarget(NamedTuple):
    """The end of a route.

    Attributes:
        model: Who is asked.
        version: Which version it must be; None for the one that serves.
        form: The protocol.
        template: The path without its names: what requests are grouped by.
    """

    model: ServedModel
    version: str | None
    form: ErrorFormat
    template: str


def serving_generation(model: ServedModel, version: str | None) -> VersionPool:
    """What serves `model`.

    Raises:
        HttpError: Nothing does, or another version than `version`.
    """
    current = model.current
    if current is None:
        raise HttpError(
            503, "TEMPORARILY_UNAVAILABLE", "No version serves yet; /readyz says why.",
            [(b"retry-after", b"1")],
        )  # fmt: skip
    if version is not None and version != current.version:
        raise HttpError(
            404, "RESOURCE_DOES_NOT_EXIST", "This version is not loaded; /readyz says which one is."
        )
    return current
