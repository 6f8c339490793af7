"""Turns pydantic's validation errors of a recipe into messages with which a user can fix it.

Each message starts with the path of the key, says what was found, and ends with the fix.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cloche.rollout.plan import PlanError
from cloche.training.recipe.suggestions import suggestion
from cloche.training.recipe.values import mask
from cloche.training.recipe.yaml_document import Path

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text (in quotes, when it looks like a number)",
    "bool_type": "true or false",
    "list_type": "a list, like [a, b]",
    "tuple_type": "a list, like [a, b]",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_FOUND_CHARACTERS = 60


def explain(
    error: ValidationError,
    model: type[BaseModel],
    values: Mapping[str, Any],
    lines: Mapping[Path, int],
) -> list[str]:
    """Return one message for each mistake."""
    messages = []
    for item in error.errors(include_url=False):
        path, tags = _path(item["loc"], values, absent=item["type"] == "missing")
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, PlanError):
            said = [((*path, *key), message) for key, message in cause.problems]
        else:
            sections = _sections(model, path, tags)
            said = [(path, message) for message in _messages(dict(item), path, sections)]
        messages += [f"{where(at, lines)}{message}" for at, message in said]
    return list(dict.fromkeys(messages))


def where(path: Path, lines: Mapping[Path, int]) -> str:
    """Return the beginning of a message about a key: the key, and its line if it has one."""
    line = f" (line {lines[path]})" if path in lines else ""
    key = ".".join(str(part) for part in path) + line
    return f"{key}: " if key else ""


def format_value(value: Any) -> str:
    """Return `value` for a message: short, and without the password of a URL."""
    text = repr(mask(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= _FOUND_CHARACTERS else f"{text[:_FOUND_CHARACTERS]}…"


def _messages(
    item: Mapping[str, Any], path: Path, sections: Sequence[type[BaseModel]]
) -> Iterator[str]:
    kind, context, found = item["type"], item.get("ctx", {}), format_value(item["input"])
    if kind == "extra_forbidden":
        keys = dict.fromkeys(key for section in sections for key in _keys(section))
        yield f"unknown key; {suggestion(str(path[-1]), keys)}"
    elif kind == "missing":
        yield "missing; it is needed"
    elif kind == "value_error":
        # The message of a section's validator is complete; that of a value's validator lacks the
        # value.
        whole = isinstance(item["input"], dict)
        for line in str(context["error"]).splitlines():
            yield line if whole else f"{line}; found {found}"
    elif kind == "literal_error":
        choices = re.findall(r"'(.+?)'", context["expected"])
        yield f"unknown value {found}; {suggestion(str(item['input']), choices)}"
    elif kind in _EXPECTED:
        yield f"expected {_EXPECTED[kind]}, found {found}"
    elif bound := next(
        (f"{word} {context[key]:g}" for key, word in _BOUNDS.items() if key in context), None
    ):
        yield f"must be {bound}, found {found}"
    elif kind == "too_short" and context.get("actual_length") == 0:
        yield "is empty; give at least one"
    elif kind in {"too_short", "too_long"}:
        count = context.get("min_length", context.get("max_length"))
        yield f"expected {count} values, found {found}"
    else:
        yield f"{item['msg'][:1].lower()}{item['msg'][1:]}; found {found}"


def _path(location: Sequence[str | int], values: Any, *, absent: bool) -> tuple[Path, list[str]]:
    """Split pydantic's location into the path in the file and the tags of unions.

    Args:
        location: Location as pydantic reports it.
        values: Values that were validated.
        absent: Whether the last part is a key that `values` lack.
    """
    path: list[str | int] = []
    tags: list[str] = []
    here = values
    for position, part in enumerate(location):
        if isinstance(here, list) and isinstance(part, int):
            path.append(part)
            here = here[part] if part < len(here) else None
        elif isinstance(here, Mapping) and part in here:
            path.append(part)
            here = here[part]
        elif absent and position == len(location) - 1:
            path.append(part)
        else:
            tags.append(str(part))
    return tuple(path), tags


def _sections(model: type[BaseModel], path: Path, tags: Sequence[str]) -> Sequence[type[BaseModel]]:
    """Return the model classes in which the last part of `path` may be a key."""
    sections: list[type[BaseModel]] = [model]
    for part in path[:-1]:
        inner = [
            found
            for section in sections
            for name, field in section.model_fields.items()
            if (field.alias or name) == part
            for found in _models(field.annotation)
        ]
        sections = inner or sections
    tagged = [
        section
        for section in sections
        for field in section.model_fields.values()
        if set(get_args(field.annotation)) & set(tags) and get_origin(field.annotation) is Literal
    ]
    return tagged or sections


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _keys(section: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]
