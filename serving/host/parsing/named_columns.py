"""Reads the columns of a request by name, whether or not the model takes them.

MLflow parses each column by itself and leaves out those that the signature does not name. So what
it leaves out changes nothing, as long as it can be parsed. This module must not know signatures.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any, NamedTuple

Cells = Sequence[Any]

_SPLIT_KEYS = {"columns", "data"}
_NONE = type(None)
# A column of cells of one type is logged with the texts that it was sent with, however it is
# parsed: integers beside a missing one, for instance, become floats.
_PLAIN = [{str}, {int}, {float}, {bool}, {_NONE}, {str, _NONE}]


class NamedColumns(NamedTuple):
    """The columns of a request.

    Attributes:
        columns: The cells of each column by its name, to be read once.
        length: The number of cells of each column, which is not 0.
        indexed: Whether the request numbers its rows otherwise than from 0.
    """

    columns: Mapping[str, Iterable[Any]]
    length: int
    indexed: bool = False


def read_columns(layout: str, content: Any) -> NamedColumns | None:
    """Return the columns of a layout's content; None if they are not rows of equal columns.

    Cells are read from the rows one by one, so that reading them raises `KeyError` where a row
    lacks a column.
    """
    if layout == "dataframe_split":
        return _from_split(content)
    if layout == "inputs" and type(content) is dict:
        return _from_columns(content)
    if type(content) is not list or not content or type(content[0]) is not dict:
        return None
    return _from_rows(content, dict, {name: name for name in content[0]})


def may_be_left_out(columns: Mapping[str, Cells]) -> bool:
    """Whether MLflow parses these columns in every layout, and the log's texts of them are sure."""
    return _is_utf8(columns) and all(map(_is_plain, columns.values()))


def _from_split(content: Any) -> NamedColumns | None:
    if type(content) is not dict or content.keys() - {"index"} != _SPLIT_KEYS:
        return None
    names, rows, index = content["columns"], content["data"], content.get("index")
    if type(names) is not list or set(map(type, names)) != {str} or type(rows) is not list:
        return None
    places = dict(zip(names, range(len(names)), strict=True))
    found = _from_rows(rows, list, places) if len(places) == len(names) else None
    if found is None or index is None:
        return found
    if type(index) is not list or len(index) != found.length or not _is_plain(index):
        return None
    counted = type(index[0]) is int and index == list(range(found.length))
    return found._replace(indexed=not counted)


def _from_columns(content: dict[str, Any]) -> NamedColumns | None:
    if set(map(type, content.values())) != {list}:
        return None
    lengths = set(map(len, content.values()))
    length = lengths.pop()
    return NamedColumns(content, length) if length and not lengths else None


def _from_rows(rows: list[Any], form: type, keys: Mapping[str, Any]) -> NamedColumns | None:
    """Return the columns of rows of as many cells, by the key or position of each."""
    if set(map(type, rows)) != {form} or set(map(len, rows)) != {len(keys)}:
        return None
    return NamedColumns({name: map(itemgetter(key), rows) for name, key in keys.items()}, len(rows))


def _is_plain(cells: Cells) -> bool:
    types = set(map(type, cells))
    return types in _PLAIN and (str not in types or _is_utf8(filter(None, cells)))


def _is_utf8(texts: Iterable[str]) -> bool:
    """Whether no text has a lone surrogate, which pandas refuses."""
    with suppress(UnicodeEncodeError):
        "".join(texts).encode()
        return True
    return False
