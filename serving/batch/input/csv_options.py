"""CSV options: the arguments of `pandas.read_csv` that decide which cells a table has.

A version records the options with which its training table was read; a user may override them. The
names are those of pandas, and of `data.options` in a recipe. This module reads no tables.
"""

import codecs
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pandas._libs.parsers import STR_NA_VALUES  # type: ignore[import-not-found]

from cloche.serving.batch.input.byte_stream import ByteStream
from cloche.serving.errors import SettingsError

_UTF8 = {"utf-8", "utf-8-sig", "ascii"}
_CHUNK = 1 << 20
# Arguments that choose rows, columns, types or speed: the signature and the parts decide these.
_OTHERWISE = {
    "usecols", "nrows", "index_col", "dtype", "parse_dates", "low_memory", "memory_map", "engine",
    "compression", "on_bad_lines", "cache_dates", "dtype_backend", "storage_options",
    "skip_blank_lines", "chunksize", "iterator", "dayfirst",
}  # fmt: skip


class Dialect(NamedTuple):
    """The characters that divide CSV text into records and fields.

    Attributes:
        delimiter: The character between fields.
        quote: The character around a field that contains delimiters.
        spaced: Whether blanks after a delimiter are skipped.
    """

    delimiter: str
    quote: str = '"'
    spaced: bool = False


class CsvOptions:
    """The options with which a CSV table is read; comparable and hashable."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """Store options that `merge` has checked, or that a job has pinned."""
        self.options = dict(options or {})
        self._key = json.dumps(self.options, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CsvOptions) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        """The options as in a recipe."""
        return ", ".join(f"{name}: {value!r}" for name, value in self.options.items())

    @property
    def has_header(self) -> bool:
        """Whether a line of the table names its columns."""
        usual = None if self.names else 0  # the default of pandas
        return self.options.get("header", usual) is not None

    @property
    def skipped(self) -> int:
        """The number of lines to skip before the table."""
        return int(self.options.get("skiprows", 0))

    @property
    def names(self) -> list[str]:
        """The column names given by the options; empty if the header names the columns."""
        return [str(name) for name in self.options.get("names") or ()]

    @property
    def encoding(self) -> str:
        """The encoding of the text; empty for UTF-8, in which parts are read."""
        named = str(self.options.get("encoding", "utf-8"))
        return "" if codecs.lookup(named).name in _UTF8 else named

    def dialect(self, name: str) -> Dialect:
        """Return the delimiter and quote for a file with this name; `.tsv` defaults to tabs."""
        by_name = "\t" if ".tsv" in Path(name).suffixes else ","
        return Dialect(
            self.options.get("sep", by_name), self.options.get("quotechar", '"'),
            bool(self.options.get("skipinitialspace", False)),
        )  # fmt: skip

    def missing(self, name: str) -> list[Any]:
        """Return the texts that stand for a missing value in a column."""
        if not self.options.get("na_filter", True):
            return []
        given = self.options.get("na_values", [])
        given = given.get(name, []) if isinstance(given, dict) else given
        own = given if isinstance(given, list) else [given]
        usual = list(STR_NA_VALUES) if self.options.get("keep_default_na", True) else []
        return [*usual, *own]

    def numbers(self) -> dict[str, Any]:
        """Return the arguments of `pandas.read_csv` for the format of numbers."""
        names = ("decimal", "thousands", "float_precision")
        return {name: self.options[name] for name in names if name in self.options}

    def heading(self, dialect: Dialect) -> dict[str, Any]:
        """Return the arguments of `pandas.read_csv` for the format of rows and header."""
        found: dict[str, Any] = {
            "sep": dialect.delimiter, "quotechar": dialect.quote,
            "skipinitialspace": dialect.spaced, "skiprows": self.skipped,
            "header": 0 if self.has_header else None,
        }  # fmt: skip
        return found | ({"names": self.names} if self.names else {})

    def whole(self, dialect: Dialect) -> dict[str, Any]:
        """Return the arguments of `pandas.read_csv` for a table whose types are inferred."""
        words = ("na_values", "keep_default_na", "na_filter", "true_values", "false_values")
        given = {name: self.options[name] for name in words if name in self.options}
        return {**self.heading(dialect), **self.numbers(), **given}

    def decoded(self, stream: Any) -> Any:
        """Convert a stream to UTF-8; invalid bytes are kept, unless `encoding_errors` is set."""
        return _Recoded(stream, self.encoding, self.options.get("encoding_errors"))


PLAIN = CsvOptions()


def parsed(text: str | None) -> dict[str, Any]:
    """Parse options in YAML, like `{sep: ;, encoding: cp949}`.

    Raises:
        SettingsError: `text` is not a YAML mapping.
    """
    if text is None:
        return {}
    try:  # all values stay text, because YAML 1.1 reads `no` as false
        found = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  # BaseLoader creates only text
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "not YAML"
        raise SettingsError(f"--options {text}: {problem}. {_EXAMPLE}") from error
    if not isinstance(found, dict):
        raise SettingsError(f"--options {text}: no keys and values. {_EXAMPLE}")
    return {str(name): value for name, value in found.items()}


def merge(recorded: Mapping[str, Any], given: Mapping[str, Any]) -> CsvOptions:
    """Merge the options of a version (`recorded`) with those of the user (`given`), which win.

    Raises:
        SettingsError: An option is invalid or not supported.
    """
    options = {"sep" if name == "delimiter" else name: value for name, value in recorded.items()}
    options |= {"sep" if name == "delimiter" else name: value for name, value in given.items()}
    options = {
        name: value for name, value in options.items()
        if name not in _OTHERWISE or name in given
    }  # fmt: skip
    found = {}
    for name, value in options.items():
        if value in (None, "null", "~") and name != "header":
            continue  # null resets an option to its default
        if name not in _CHECKS and name in given:
            raise SettingsError(_refusal(name))
        try:
            found[name] = _CHECKS[name](name, value)
        except (KeyError, SettingsError) as error:
            if name in given:
                raise
            usual = "0" if name == "header" else "null"
            raise SettingsError(
                f"The version was trained on a table that was read with {name}: {value!r}, and "
                "cloche score does not read such tables. Write the table as CSV that needs no such "
                f"option, and score it with --options '{{{name}: {usual}}}'"
            ) from error
    if found.get("header", 0) is None and not found.get("names"):
        raise SettingsError(
            "--options header: a table without header needs the names of its columns: "
            "--options '{header: null, names: [a, b]}'"
        )
    return CsvOptions(found)


_EXAMPLE = "Write it as in a recipe: --options '{sep: \";\", encoding: cp949}'"


def _refusal(name: str) -> str:
    if name in _OTHERWISE:
        return (
            f"--options {name}: the signature of the version decides types and columns, and every "
            f"row is scored. Leave it out; known are {', '.join(_CHECKS)}."
        )
    return (
        f"--options {name}: cloche score does not read such tables; it knows {', '.join(_CHECKS)}. "
        "Write the table without what needs it."
    )


def _character(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n":
        raise SettingsError(f"--options {name}: expected one ASCII character; found {value!r}")
    return value


def _separator(name: str, value: Any) -> str:
    return _character(name, "\t" if value == r"\t" else value)


def _codec(name: str, value: Any) -> str:
    try:
        return str(codecs.lookup(str(value)).name)
    except LookupError as error:
        raise SettingsError(
            f"--options {name}: {value!r} is not known; cp949 (Korean), shift_jis (Japanese) and "
            "latin-1 are some"
        ) from error


def _errors(name: str, value: Any) -> str:
    try:
        codecs.lookup_error(str(value))
    except LookupError as error:
        raise SettingsError(f"--options {name}: expected strict, replace or ignore") from error
    return str(value)


def _truth(name: str, value: Any) -> bool:
    known = {"true": True, "false": False}
    if str(value).lower() not in known:
        raise SettingsError(f"--options {name}: expected true or false; found {value!r}")
    return known[str(value).lower()]


def _count(name: str, value: Any) -> int:
    if not str(value).isascii() or not str(value).isdecimal() or len(str(value)) > 6:
        raise SettingsError(f"--options {name}: expected a number of lines; found {value!r}")
    return int(value)


def _header(name: str, value: Any) -> int | None:
    if value in (None, "null", "~", ""):
        return None
    if value in (0, "0", "infer"):
        return 0
    raise SettingsError(f"--options {name}: expected 0 or null; lines before it are skiprows")


def _list(name: str, value: Any) -> list[Any]:
    found = value if isinstance(value, list) else [value]
    if any(isinstance(one, (list, dict)) for one in found):
        raise SettingsError(f"--options {name}: expected a list of words or numbers")
    return found


def _by_column(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {str(column): _list(name, one) for column, one in value.items()}
    return _list(name, value)


def _format(_: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {str(column): str(one) for column, one in value.items()}
    return str(value)


def _precision(name: str, value: Any) -> str:
    if value not in ("high", "legacy", "round_trip"):
        raise SettingsError(f"--options {name}: expected high, legacy or round_trip")
    return str(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "sep": _separator, "encoding": _codec, "encoding_errors": _errors, "decimal": _character,
    "thousands": _character, "float_precision": _precision, "na_values": _by_column,
    "keep_default_na": _truth, "na_filter": _truth, "quotechar": _character,
    "skipinitialspace": _truth, "header": _header, "names": _list, "skiprows": _count,
    "true_values": _list, "false_values": _list, "date_format": _format,
}  # fmt: skip


class _Recoded(ByteStream):
    """The stream of `CsvOptions.decoded`."""

    def __init__(self, stream: Any, encoding: str, errors: str | None) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(
            "surrogateescape" if errors in (None, "strict") else errors
        )
        self._ready, self._ended = b"", False

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; fewer than requested only at the end."""
        while not self._ended and (size < 0 or len(self._ready) < size):
            more = self._stream.read(_CHUNK)
            self._ended = not more
            text = self._decoder.decode(more, self._ended)
            self._ready += text.encode("utf-8", "surrogateescape")
        wanted = len(self._ready) if size < 0 else size
        found, self._ready = self._ready[:wanted], self._ready[wanted:]
        return found
