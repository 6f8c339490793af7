"""Applies overrides, strings of the form `key.sub.key=value`, to the values of a recipe."""

from collections.abc import Mapping
from typing import Any

from cloche.training.recipe.yaml_document import DocumentError, parse_value


class OverrideError(Exception):
    """An override cannot be applied to the recipe; the message names it and the reason."""


def apply(values: Mapping[str, Any], override: str) -> dict[str, Any]:
    """Return `values` with one key set; mappings on its path are copied, or created if absent.

    Raises:
        OverrideError: The override has no `=`, an empty key, a value that is not YAML, or a path
            through a value that has no keys.
    """
    key, equals, text = override.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not equals or not all(path):
        raise OverrideError(f"--set {override!r}: write key=value, like seed=7")
    try:
        value = parse_value(text)
    except DocumentError as error:
        raise OverrideError(f"--set {key}: the value is {error}") from None
    return _with(values, path, value, key)


def _with(values: Mapping[str, Any], path: list[str], value: Any, key: str) -> dict[str, Any]:
    first, *rest = path
    if not rest:
        return {**values, first: value}
    inner = values.get(first)
    if inner is None:
        inner = {}
    if not isinstance(inner, Mapping):
        kind = "a list; set it as a whole" if isinstance(inner, list) else "no mapping"
        raise OverrideError(f"--set {key}: {first!r} is {kind}")
    return {**values, first: _with(inner, rest, value, key)}
