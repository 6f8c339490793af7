"""Reads and writes YAML: plain values, the line of each value, and strict errors.

Scalars follow YAML 1.2 (`no` and `2013-01-31` are text, `1e-3` is a number), because the rules of
YAML 1.1 surprise people. Duplicate keys are errors. So are aliases: a recipe does not need them,
and nested aliases can expand without limit.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import yaml

MAX_BYTES: Final = 1_000_000

Path = tuple[str | int, ...]


class DocumentError(Exception):
    """The text is not a valid YAML document; the message says where and why."""


@dataclass(frozen=True)
class Document:
    """The content of a YAML text.

    Attributes:
        values: Plain dicts, lists and scalars.
        lines: Path of a value → its line in the text, from 1.
    """

    values: dict[str, Any]
    lines: Mapping[Path, int]


# PyYAML treats these characters as line breaks, and joins the lines, unless they are escaped.
_ODD_BREAKS: Final = frozenset("\r\x85\u2028\u2029")

_NULL = re.compile(r"(~|null|Null|NULL|)$")
_BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
)
_RESOLVERS = (
    ("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", _BOOL, list("tTfF")),
    ("tag:yaml.org,2002:int", _INT, list("-+0123456789")),
    ("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789")),
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2, without aliases and duplicate keys."""

    # This leaves out the scalars of YAML 1.1, and its dates, sets and bytes.
    yaml_implicit_resolvers: Any = {}  # noqa: RUF012 - PyYAML declares it so
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        f"tag:yaml.org,2002:{kind}": yaml.SafeLoader.yaml_constructors[f"tag:yaml.org,2002:{kind}"]
        for kind in ("null", "bool", "str", "seq", "map")
    } | {None: yaml.SafeLoader.construct_undefined}

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
            raise DocumentError(f"{_location(event.start_mark)}: aliases (*name) are not supported")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            place = _location(key_node.start_mark)
            if isinstance(key, list | dict):
                raise DocumentError(f"{place}: a list or mapping cannot be a key")
            if key in mapping:
                raise DocumentError(f"{place}: the key {key!r} is given twice; keep one")
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping

    def integer(self, node: yaml.ScalarNode) -> int:
        text = node.value
        if text.lower().startswith(("0x", "0o")):
            return int(text, 0)
        try:
            return int(text)
        except ValueError:
            raise DocumentError(f"{_location(node.start_mark)}: the number is too long") from None

    def real(self, node: yaml.ScalarNode) -> float:
        text = node.value.lower()
        if text.endswith((".inf", ".nan")):
            sign = -1 if text.startswith("-") else 1
            return sign * (math.inf if text.endswith(".inf") else math.nan)
        return float(text)


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which quotes text that YAML 1.1 or 1.2 would not read as text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True

    def text(self, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        if _ODD_BREAKS & set(value):
            style = '"'
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)


class _OneLine(_Dumper):
    """The dumper for values that must not be broken into lines."""

    def text(self, value: str) -> yaml.ScalarNode:
        style = '"' if {"\n", *_ODD_BREAKS} & set(value) else None
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)


for _tag, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.real)
_Dumper.add_representer(str, _Dumper.text)
_OneLine.add_representer(str, _OneLine.text)


def parse(text: str) -> Document:
    """Read a YAML text whose top level is a mapping.

    Raises:
        DocumentError: The text is empty, too long, not YAML, or not a mapping.
    """
    loader, root, values = _read(text)
    if root is None or values is None:
        raise DocumentError("is empty; expected keys and values, like `target: late`")
    if not isinstance(values, dict):
        raise DocumentError(f"expected keys and values, like `target: late`; found {values!r:.60}")
    lines: dict[Path, int] = {}
    _note_lines(loader, root, (), lines)
    return Document(values, lines)


def parse_value(text: str) -> Any:
    """Read one value, like that of `--set key=value`.

    Raises:
        DocumentError: The text is not YAML.
    """
    return _read(text)[2]


def render(values: Mapping[str, Any]) -> str:
    """Return YAML that `parse` reads as the same values."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def render_value(value: Any) -> str:
    """Return a value as YAML on one line, as it is written after `key:`."""
    endless = float("inf")
    text = yaml.dump(
        value, Dumper=_OneLine, default_flow_style=True, allow_unicode=True, width=endless
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _read(text: str) -> tuple[_Loader, yaml.Node | None, Any]:
    if len(text) > MAX_BYTES:
        raise DocumentError(f"is longer than {MAX_BYTES:,} characters; is it the right file?")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        values = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise DocumentError(
            f"{_location(mark)}: not YAML: {error.problem or error.context}"
        ) from None
    except yaml.YAMLError as error:
        raise DocumentError(f"not YAML: {error}") from None
    except RecursionError:
        raise DocumentError("is nested too deeply") from None
    return loader, root, values


def _note_lines(loader: _Loader, node: yaml.Node, path: Path, lines: dict[Path, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            inner = (*path, loader.construct_object(key_node, deep=True))
            lines[inner] = key_node.start_mark.line + 1
            _note_lines(loader, value_node, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*path, position)] = item.start_mark.line + 1
            _note_lines(loader, item, (*path, position), lines)


def _location(mark: Any) -> str:
    return "somewhere" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"
