"""How a source that nobody has described wants to be read."""

import re
from typing import Any

from cloche.training.dataset.files import find_files, is_parquet
from cloche.training.recipe.agreement import is_database, is_web
from cloche.training.recipe.load import data_section
from cloche.training.recipe.sections import Data

_LABELLED_LINE = re.compile(r"[^|]+.*\|\s*\S{1,20}\s*")
_SEPARATORS = (",", ";", "\t", "|")
_LINES = 50


def sniff_data(source: str, query: str | None = None) -> Data:
    """The data section of a recipe for `source`.

    For files of text, the separator of the first one's lines is found, and lines `text|label` are
    told from a table with bars.

    Raises:
        RecipeError: the source is none that a recipe can name.
        DataError: there is no such file.
    """
    values: dict[str, Any] = {"source": source}
    if query is not None:
        values["query"] = query
    local = not (source.startswith("sample:") or is_database(source) or is_web(source))
    if local:
        values |= _text_form(source)
    return data_section(values)


def _text_form(source: str) -> dict[str, Any]:
    path = find_files(source)[0]
    if is_parquet(path) or path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        return {}
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip("\n") for _, line in zip(range(_LINES), file, strict=False)]
    lines = [line for line in lines if line.strip()]
    if not lines:
        return {}
    counts = {mark: lines[0].count(mark) for mark in _SEPARATORS}
    best = max(counts, key=lambda mark: counts[mark])
    labelled = path.suffix.lower() == ".txt" and all(map(_LABELLED_LINE.fullmatch, lines))
    if labelled and counts["|"] == 1:
        return {"format": "labelled-lines"}
    return {} if best == "," or not counts[best] else {"options": {"sep": best}}
