"""The contract of a cloud: the paths and bodies that it requires, and the options that it sets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cloche.serving.errors import SettingsError

Writer = Callable[[bytes], tuple[bytes, bytes]]
"""Converts the JSON answer of a model host to the media type and body that the cloud expects."""


class Translation(NamedTuple):
    """A request body, translated to MLflow's protocol.

    Attributes:
        content_type: The media type of `body`.
        body: The body that the model host receives.
        write: Converts the answer; None to send it unchanged.
    """

    content_type: str
    body: bytes
    write: Writer | None = None


class CloudRequest(NamedTuple):
    """The Content-Type and Accept headers of a request."""

    content_type: str
    accept: str


Dialect = Callable[[CloudRequest, bytes, list[str]], Translation]
"""Translates a request body to MLflow's protocol; the list holds the names of the inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The paths and body formats that a cloud requires."""

    predict_path: str
    health_path: str
    dialect: Dialect
    pages: Mapping[str, bytes] = field(default_factory=dict)


class Cloud(NamedTuple):
    """A cloud's contract, and the options of `cloche serve` that its variables set."""

    contract: Contract
    options: dict[str, Any]


def number(environment: Mapping[str, str], name: str, default: int) -> int:
    """The whole number in an environment variable, or `default` if it is unset or empty.

    Raises:
        SettingsError: The variable holds something else.
    """
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise SettingsError(f"{name}={text}: it must be a whole number.")
    return int(text)
