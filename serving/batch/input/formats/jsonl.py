"""JSON lines: text with an object on each line; rows may have different keys."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd

from cloche.serving.batch.input.formats.format import TextInput
from cloche.serving.batch.input.readers.jsonlines import JsonLinesReader, parsed
from cloche.serving.batch.input.record_boundaries import Records
from cloche.serving.batch.input.sources import InputFile

_LINES = 1000


def _columns(stream: Any, file: InputFile) -> list[str]:  # noqa: ARG001
    """Return the keys of the first rows."""
    names: dict[str, None] = {}
    for line in itertools.islice(stream.read(1 << 20).split(b"\n"), _LINES):
        value = parsed(line)
        if isinstance(value, dict):
            names |= dict.fromkeys(value)
    return list(names)


def _types(stream: Any, file: InputFile, width: int) -> dict[str, str]:  # noqa: ARG001
    rows = 0
    counts: defaultdict[str, int] = defaultdict(int)
    samples: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for line in _lines(stream):
        row = parsed(line)  # a line that is no object is refused later
        if isinstance(row, dict):
            rows += 1
            for name, cell in row.items():
                counts[name] += 1
                samples[name].setdefault(_cell_kind(cell), cell)
    return {
        name: str(
            pd.DataFrame([{name: cell} for cell in found.values()] + [{}] * (counts[name] < rows))[
                name
            ].dtype
        )
        for name, found in samples.items()
    }


def _cell_kind(cell: Any) -> str:
    """Return the kind of a cell that decides its column's type; for integers also their size."""
    if type(cell) is not int:
        return type(cell).__name__
    bits = (~cell if cell < 0 else cell).bit_length()
    return f"{'-' * (cell < 0)}{max((most for most in (63, 64) if bits > most), default=0)}"


def _lines(stream: Any) -> Iterator[bytes]:
    waiting = b""
    while more := stream.read(1 << 20):
        *lines, waiting = (waiting + more).split(b"\n")
        yield from lines
    yield waiting


def _whole_records(block: bytes | bytearray, _: InputFile, last: bool) -> Records:
    return Records(len(block) if last else block.rfind(b"\n") + 1, plain=False)


FORMAT = TextInput(
    name="jsonl",
    suffixes=(".jsonl", ".ndjson"),
    recognized_by=(
        rb"\s*\{\s*\"",
        "JSON: score it with --input-format jsonl if each line is a row",
    ),
    columns=_columns,
    types=_types,
    reader=JsonLinesReader,
    uniform=False,
    read_header=lambda *_: (b"", b""),
    whole_records=_whole_records,
)
