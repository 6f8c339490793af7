"""JSON lines: text with an object on each line."""

import json

import pyarrow as pa
import pyarrow.compute as pc

from cloche.serving.batch.output.formats.format import TextOutput
from cloche.serving.batch.storage.cell_texts import count_not_in_json, join_cells, json_texts


def _rows(table: pa.Table) -> bytes:
    """Serialize a table as JSON lines; values that `count_not_in_json` counts become null."""
    cells = []
    for position, name in enumerate(table.column_names):
        key = ("" if position == 0 else ", ") + json.dumps(name, ensure_ascii=False) + ": "
        values = pc.fill_null(json_texts(table.column(position)), "null")
        cells.append(pc.binary_join_element_wise(key, values, ""))
    return join_cells(cells, "", "{", "}\n")


FORMAT = TextOutput(
    name="jsonl",
    suffixes=(".jsonl", ".ndjson"),
    count_nulled=count_not_in_json,
    serialize_rows=_rows,
)
