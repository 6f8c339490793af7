"""What a cloud asks of a server beside MLflow's protocol, and what its variables mean here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cloche.serving.errors import SettingsError

Writer = Callable[[bytes], tuple[bytes, bytes]]
"""Makes the media type and the body of an answer from the host's JSON."""


class Translation(NamedTuple):
    """A request body in MLflow's protocol.

    Attributes:
        content_type: Of `body`.
        body: What a host is given.
        write: What makes the answer; None to leave it as it is.
    """

    content_type: str
    body: bytes
    write: Writer | None = None


class CloudRequest(NamedTuple):
    """What a request says of its body and of the answer that it wants."""

    content_type: str
    accept: str


Dialect = Callable[[CloudRequest, bytes, list[str]], Translation]
"""Translates a request body, for a model whose inputs have these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Where a cloud asks, and how.

    Attributes:
        predict_path: Where predictions are asked for.
        health_path: What is asked whether the server can answer.
        dialect: How bodies at `predict_path` are read.
        pages: JSON that the cloud reads, by path.
    """

    predict_path: str
    health_path: str
    dialect: Dialect
    pages: Mapping[str, bytes] = field(default_factory=dict)


class Cloud(NamedTuple):
    """A contract, and the options of `cloche serve` that its environment stands for."""

    contract: Contract
    options: dict[str, Any]


def number(environment: Mapping[str, str], name: str, default: int) -> int:
    """The whole number in a variable, or `default` where it is unset or empty.

    Raises:
        SettingsError: It is something else.
    """
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise SettingsError(f"{name}={text}: it must be a whole number.")
    return int(text)
