"""The paths of models in all protocols. Pure: whether a model exists is not checked here."""

import re
from functools import lru_cache
from typing import NamedTuple

PREDICT, READY, METADATA, FORM = "predict", "ready", "metadata", "form"
TENSORFLOW_STATUS, TENSORFLOW_METADATA = "tensorflow status", "tensorflow metadata"


class Route(NamedTuple):
    """A parsed path of a model.

    Attributes:
        action: PREDICT, or the kind of metadata that is requested.
        template: The path with placeholders for names, by which traces group requests.
        name: The model's name; None for the server's only model.
        version: The version's number; None for the one that serves.
        label: The label in place of a version: an alias that the server must follow.
    """

    action: str
    template: str
    name: str | None
    version: str | None = None
    label: str | None = None


class _Pattern(NamedTuple):
    """A path template, its action, and the regular expression for its paths."""

    template: str
    action: str
    matches: re.Pattern[str]


def _pattern(template: str, action: str) -> _Pattern:
    pieces = re.split(r"\{(\w+)\}", template)
    text = "".join(
        f"(?P<{piece}>[^/]+?)" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)
    )
    return _Pattern(template, action, re.compile(text))


def _versioned(base: str, *actions: tuple[str, str]) -> list[_Pattern]:
    """The patterns of a model's paths, each without and with a version."""
    return [
        _pattern(f"{base}{place}{end}", action)
        for place in ("", "/versions/{version}")
        for end, action in actions
    ]


_V1 = ((":predict", PREDICT), ("", TENSORFLOW_STATUS), ("/metadata", TENSORFLOW_METADATA))
_PATTERNS = {
    "models": _versioned("/models/{name}", ("/invocations", PREDICT), ("/form", FORM)),
    "v2": _versioned("/v2/models/{name}", ("/infer", PREDICT), ("", METADATA), ("/ready", READY)),
    "v1": [
        *_versioned("/v1/models/{name}", *_V1),
        *(_pattern(f"/v1/models/{{name}}/labels/{{label}}{end}", does) for end, does in _V1),
    ],
    "predictions": [
        _pattern("/predictions/{name}", PREDICT),
        _pattern("/predictions/{name}/{version}", PREDICT),
    ],
}
INVOCATIONS = Route(PREDICT, "/invocations", None)


def first_part(path: str) -> str:
    """The first segment of `path`; empty if there is none."""
    return path.partition("/")[2].partition("/")[0]


@lru_cache(1024)
def find(path: str) -> Route | None:
    """The route of `path`; None if it is no path of a model."""
    if path == "/invocations":
        return INVOCATIONS
    for template, action, matches in _PATTERNS.get(first_part(path), ()):
        if found := matches.fullmatch(path):
            return Route(action, template, **found.groupdict())
    return None
