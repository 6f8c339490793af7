"""The layouts of JSON bodies: checks of their form, and access to parts of their content."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from cloche.serving.host.answers.mistake import Mistake, describe_kind, quote_names
from cloche.values.json_layouts import LAYOUTS

UNWRAPPED = ("messages", "prompt", "input")  # keys of bodies that are model inputs as a whole
_SPLIT = {"columns", "data", "index"}


class Content(NamedTuple):
    """The content of a body in one of the layouts."""

    layout: str
    value: Any

    @property
    def rows(self) -> Any:
        """The list of rows; the content itself if it has no rows."""
        return self.value["data"] if self.layout == "dataframe_split" else self.value

    def names(self) -> list[str] | None:
        """Return the names of the columns in the content; None if it has no names."""
        if self.layout == "dataframe_split":
            found = self.value.get("columns")
            return None if found is None else [str(name) for name in found]
        if isinstance(self.value, dict):
            return list(self.value)
        if isinstance(self.value, list) and any(isinstance(row, dict) for row in self.value):
            return list(
                dict.fromkeys(name for row in self.value if isinstance(row, dict) for name in row)
            )
        return None

    def by_column(self) -> bool:
        """Whether the content is an object with a list of cells for each column."""
        return self.layout in ("instances", "inputs") and isinstance(self.value, dict)

    def length(self) -> int:
        """Return the number of rows."""
        if self.by_column():
            return max(
                (len(one) for one in self.value.values() if isinstance(one, list)), default=1
            )
        return len(self.rows) if isinstance(self.rows, list) else 1

    def cells(self, name: str) -> list[Any]:
        """Return the cells of a column."""
        if self.by_column():
            cells = self.value[name]
            return cells if isinstance(cells, list) else [cells]
        if self.layout == "dataframe_split":
            at = [str(one) for one in self.value["columns"]].index(name)
            return [row[at] for row in self.rows]
        return [row.get(name) if isinstance(row, dict) else row for row in self.value]

    def part(self, names: Collection[str] | None, some: slice = slice(None)) -> dict[str, Any]:
        """Return a payload with only these columns (None for all) and these rows."""
        value: Any = self.value
        if self.layout == "dataframe_split":
            known = value.get("columns")
            places = [
                at for at, name in enumerate(known or ()) if names is None or str(name) in names
            ]
            rows = self.rows[some]
            if known is None:
                return {self.layout: {"data": rows}}
            data = [[row[at] for at in places] for row in rows]
            return {self.layout: {"columns": [known[at] for at in places], "data": data}}
        if self.by_column():
            value = {
                name: cells[some] if isinstance(cells, list) else cells
                for name, cells in value.items()
                if names is None or name in names
            }
        elif isinstance(value, list):
            value = [
                {name: row[name] for name in row if names is None or name in names}
                if isinstance(row, dict)
                else row
                for row in value[some]
            ]
        return {self.layout: value}


def read_content(payload: Any, allowed: Sequence[str] = LAYOUTS) -> Content | Mistake:
    """Return the content of a body, or the mistake in its form."""
    one_of = ", ".join(allowed)
    if not isinstance(payload, dict):
        return Mistake(
            f"The body must be an object with one of {one_of}; it is {describe_kind(payload)}."
        )
    layouts = [name for name in LAYOUTS if name in payload]
    if len(layouts) != 1 or layouts[0] not in allowed:
        return Mistake(f"The body must hold {one_of}; it holds {keys_of(payload)}.")
    content = Content(layouts[0], payload[layouts[0]])
    return _form_mistake(content) or content


def keys_of(payload: dict[str, Any]) -> str:
    """List the layouts in a body, or the keys of a body without a layout."""
    known = [name for name in LAYOUTS if name in payload]
    if known:
        return " and ".join(known)
    return f"none of them, but {quote_names(list(payload))}" if payload else "nothing"


def _form_mistake(content: Content) -> Mistake | None:
    layout, value = content
    if layout == "dataframe_split":
        return next(_split_mistakes(value), None)
    if layout == "dataframe_records":
        if not isinstance(value, list):
            return Mistake(
                "dataframe_records must be a list with an object for each row; it is "
                f"{describe_kind(value)}."
            )
        return _records_mistake(value)
    if value in (None, {}):
        return Mistake(f"{layout} holds no rows; it is {describe_kind(value)}.")
    return lengths_mistake(content) if isinstance(value, dict) else None


def _split_mistakes(value: Any) -> Iterator[Mistake]:
    """Yield the mistakes in dataframe_split; each check relies on the checks before it."""
    form = 'dataframe_split must be an object such as {"columns": [...], "data": [[...], ...]}; '
    if not isinstance(value, dict):
        yield Mistake(f"{form}it is {describe_kind(value)}.")
        return
    if strange := [name for name in value if name not in _SPLIT]:
        yield Mistake(f"{form}it also holds {quote_names(strange)}.")
    if "data" not in value:
        yield Mistake(f"{form}it lacks data.")
    elif not isinstance(value["data"], list):
        yield Mistake(f"{form}data is {describe_kind(value['data'])}.")
    if not isinstance(value.get("columns"), (list, type(None))):
        yield Mistake(f"{form}columns is {describe_kind(value['columns'])}.")
    yield from _row_mistakes(value.get("columns"), value["data"])
    index, rows = value.get("index"), value["data"]
    if index is not None and (not isinstance(index, list) or len(index) != len(rows)):
        yield Mistake(f"The index of dataframe_split must be a list of {len(rows)}, one a row.")
    names = value.get("columns") or []
    if twice := [str(name) for at, name in enumerate(names) if name in names[:at]]:
        yield Mistake(f"dataframe_split has two columns of the name {twice[0]!r}.", (twice[0],))


def _row_mistakes(names: list[Any] | None, rows: list[Any]) -> Iterator[Mistake]:
    for row, cells in enumerate(rows):
        where = f"Row {row} of data in dataframe_split"
        if not isinstance(cells, list):
            yield Mistake(f"{where} must be a list; it is {describe_kind(cells)}.", row=row)
        elif names is not None and len(cells) != len(names):
            problem = f"{where} has {len(cells)} cells, and columns has {len(names)} names."
            yield Mistake(problem, row=row)


def _records_mistake(value: list[Any]) -> Mistake | None:
    objects = [isinstance(row, dict) for row in value]
    if any(objects) and not all(objects):
        row = objects.index(False)
        return Mistake(
            f"Row {row} of dataframe_records must be an object as the others are; it is "
            f"{describe_kind(value[row])}.", row=row,
        )  # fmt: skip
    return None


def lengths_mistake(content: Content) -> Mistake | None:
    """Find two columns that have different lengths, in an object by column."""
    lengths = {name: len(one) for name, one in content.value.items() if isinstance(one, list)}
    if len(set(lengths.values())) < 2:
        return None
    (one, length), *others = lengths.items()
    other = next(name for name, size in others if size != length)
    return Mistake(
        f"Column {one!r} of {content.layout} has {length} rows, and column {other!r} has "
        f"{lengths[other]}.", (one, other),
    )  # fmt: skip
