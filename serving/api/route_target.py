"""The target of a prediction request: the model, its version, and the protocol."""

from typing import NamedTuple, cast

from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.dispatch.served_pool import ServedPool
from cloche.serving.dispatch.staged_pool import StagedPool
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.protocols.protocol import Protocol
from cloche.serving.web.asgi import HttpError


class RouteTarget(NamedTuple):
    """The target of a prediction request.

    Attributes:
        version: The requested version, or an alias after an `@`; None for the one that serves.
        template: The path with placeholders for names, by which traces group requests.
    """

    model: ServedModel
    version: str | None
    protocol: Protocol
    template: str


def serving_pool(model: ServedModel, version: str | None) -> VersionPool | StagedPool:
    """The version pool that serves `model`.

    Raises:
        HttpError: No version serves, or another one than `version`.
    """
    current = model.current
    if current is None:
        raise HttpError(
            503, "TEMPORARILY_UNAVAILABLE", "No version serves yet; /readyz says why.",
            [(b"retry-after", b"1")],
        )  # fmt: skip
    if version is not None and version != current.version:
        current = _named_pool(model, version)
    # a parent of workers has other pools, and answers no predictions
    return cast("VersionPool | StagedPool", current)


def _named_pool(model: ServedModel, version: str) -> ServedPool:
    """The version pool of an alias, or of the version of an arm."""
    if version == f"@{model.uri.value}" and model.current is not None:
        return model.current
    found = model.arms.find(version) if model.arms is not None else None
    if found is None:
        raise HttpError(
            404, "RESOURCE_DOES_NOT_EXIST", "This version is not loaded; /readyz says which one is."
        )
    return found
