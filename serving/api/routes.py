"""The paths of models in all protocols. Pure: whether a model exists is not checked here."""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from cloche.serving.protocols.catalog import PROTOCOLS
from cloche.serving.protocols.mlflow import MLFLOW
from cloche.serving.protocols.protocol import Describe, Protocol


class Route(NamedTuple):
    """A parsed path of a model.

    Attributes:
        describe: Builds the metadata that the path answers; None for a path of predictions.
        template: The path with placeholders for names, by which traces group requests.
        name: The model's name; None for the server's only model.
        version: The version's number; None for the one that serves.
        label: The label in place of a version: an alias that the server must follow.
    """

    protocol: Protocol
    describe: Describe | None
    template: str
    name: str | None
    version: str | None = None
    label: str | None = None

    @property
    def reference(self) -> str | None:
        """The version's number, or the label after an `@`; None for the version that serves."""
        return self.version if self.label is None else f"@{self.label}"


def _first_segment(path: str) -> str:
    return path.partition("/")[2].partition("/")[0]


def _pattern(template: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", template)
    text = "".join(
        f"(?P<{piece}>[^/]+?)" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)
    )
    return re.compile(text)


INVOCATIONS = Route(MLFLOW, None, "/invocations", None)
_ONLY_MODEL = {"/invocations", "/invocations/"}  # MLflow's server redirects the second one
_ROUTES = [
    (_pattern(base + path.end), Route(protocol, path.describe, base + path.end, None))
    for protocol in PROTOCOLS
    for base in protocol.bases
    for path in protocol.model_paths
]
_BY_SEGMENT = {_first_segment(base): protocol for protocol in PROTOCOLS for base in protocol.bases}


def protocol_of(path: str) -> Protocol:
    """The protocol that a client of `path` expects, whether or not the path exists."""
    return _BY_SEGMENT.get(_first_segment(path), MLFLOW)


@lru_cache(1024)
def find(path: str) -> Route | None:
    """The route of `path`; None if it is no path of a model."""
    if path in _ONLY_MODEL:
        return INVOCATIONS
    for pattern, route in _ROUTES:
        if found := pattern.fullmatch(path):
            names: dict[str, Any] = found.groupdict()
            return route._replace(**names)
    return None
