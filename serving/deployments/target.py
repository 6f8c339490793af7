"""Parsing of a deployment target and its options. Pure.

A target is `cloche` or `cloche:/URL` with the URL of a server. `DEFAULT_URL` is the address on
which `cloche serve` listens by default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mlflow.exceptions import MlflowException

SCHEME = "cloche"
DEFAULT_URL = "http://127.0.0.1:8080"
WAIT_SECONDS = 300.0
_YES, _NO = ("true", "1", "yes"), ("false", "0", "no")


def server_url(target: str) -> str:
    """Return the URL of the server that a target names."""
    rest = target.removeprefix(SCHEME).removeprefix(":").lstrip("/").rstrip("/")
    if not rest:
        return DEFAULT_URL
    return rest if rest.startswith(("http://", "https://")) else f"http://{rest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentOptions:
    """The options of a deployment, from `-C NAME=VALUE` or `config`.

    Attributes:
        alias: The alias to move; None for the one that the server follows.
        wait: The seconds to wait until the server serves the version; 0 only moves the alias.
        policy: The file with the gate's criteria, for a version that carries no policy.
        force: Whether to overrule the gate, which needs a reason.
        allow_breaking: Whether to accept a changed signature.
        reason: The reason of the promotion, for the audit trail.
    """

    alias: str | None = None
    wait: float = WAIT_SECONDS
    policy: str | None = None
    force: bool = False
    allow_breaking: bool = False
    reason: str | None = None

    @classmethod
    def read(cls, config: Mapping[str, Any] | None) -> Self:
        """Read the options from a configuration, with `-` or `_` in their names.

        Raises:
            MlflowException: An option is unknown, or its value is invalid.
        """
        given = {name.replace("-", "_"): value for name, value in (config or {}).items()}
        known = list(cls.__dataclass_fields__)
        if unknown := sorted(given.keys() - known):
            raise MlflowException.invalid_parameter_value(
                f"config: {unknown[0]!r} is not known; the target cloche takes {', '.join(known)}."
            )
        for name in ("force", "allow_breaking"):
            if name in given:
                given[name] = _truth(name, given[name])
        if "wait" in given:
            given["wait"] = _seconds(given["wait"])
        return cls(**given)


def followed(state: Mapping[str, Any], name: str) -> str | None:
    """Return the alias of a model that a server follows by its `/readyz`; None if it has none."""
    model = state["models"].get(name)
    if model is None:
        alias: str | None = state.get("follows")
        return alias
    registered, _, alias = model["uri"].rpartition("@")
    return alias if registered == f"models:/{name}" else None


def _truth(name: str, value: Any) -> bool:
    text = str(value).lower()
    if text not in (*_YES, *_NO):
        raise MlflowException.invalid_parameter_value(
            f"config {name}: {value!r} is neither true nor false. Write one of them."
        )
    return text in _YES


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise MlflowException.invalid_parameter_value(
            f"config wait: {value!r} is no number of seconds. Give one like 60, or 0 not to wait."
        )
    return seconds
