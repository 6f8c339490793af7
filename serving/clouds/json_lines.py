"""Bodies with one row per line: a transform job splits files into them, and joins the answers.

The parts of a split file have no header, so JSON Lines and CSV without a header (`text/csv;
header=absent`, RFC 4180) take the column names from the model. The answer has one line for each
row if `Accept` requests lines or the request was JSON Lines. Other bodies are MLflow's protocol.
"""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from cloche.serving.cloud_contract import CloudRequest, Translation, Writer
from cloche.serving.web.asgi import bad_request

JSON_LINES = "application/jsonlines"
_JSON_LINES = (JSON_LINES, "application/x-jsonlines", "application/jsonl", "application/x-ndjson")
_JSON = "application/json"
_CSV = "text/csv"


def read(asked: CloudRequest, body: bytes, names: list[str]) -> Translation:
    """Translate a body to MLflow's protocol, for a model whose inputs have these names.

    Raises:
        HttpError: The body cannot be parsed.
    """
    kind, _, parameters = (part.strip() for part in asked.content_type.lower().partition(";"))
    if kind in _JSON_LINES:
        return Translation(_JSON, _from_json_lines(body, names), _writer(asked.accept, _json_lines))
    if kind == _CSV and parameters == "header=absent":
        body = _header(names) + body
    if kind == _CSV and parameters in ("header=absent", "header=present"):
        return Translation(_CSV, body, _writer(asked.accept))
    return Translation(asked.content_type, body, _writer(asked.accept))


def _from_json_lines(body: bytes, names: list[str]) -> bytes:
    """All lines as one payload of MLflow's protocol; they are checked, but not rewritten."""
    rows = [line for line in body.split(b"\n") if line.strip()]
    if not rows:
        raise bad_request("The body holds no line.")
    kinds = {_kind_of(row, number) for number, row in enumerate(rows, 1)}
    joined = b"[" + b",".join(rows) + b"]"
    if kinds == {dict}:
        return b'{"dataframe_records":' + joined + b"}"
    if kinds != {list}:
        raise bad_request("The lines must be all objects, or all arrays.")
    if not names:
        return b'{"instances":' + joined + b"}"
    columns = json.dumps(names).encode()
    return b'{"dataframe_split":{"columns":' + columns + b',"data":' + joined + b"}}"


def _kind_of(row: bytes, number: int) -> type:
    try:
        kind = type(json.loads(row))
    except (ValueError, RecursionError):
        raise bad_request(f"Line {number} is not JSON.") from None
    if kind not in (dict, list):
        raise bad_request(f"Line {number} is neither an object nor an array.")
    return kind


def _header(names: list[str]) -> bytes:
    if not names:
        raise bad_request("The model's inputs have no names, so CSV for it needs a header.")
    return _csv_lines([names])


def _writer(accept: str, default: Writer | None = None) -> Writer | None:
    """The writer for `accept`, if it is one known media type; otherwise `default`."""
    wanted = accept.lower().partition(";")[0].strip()
    if wanted in _JSON_LINES:
        return _json_lines
    if wanted == _CSV:
        return _csv
    return None if wanted == _JSON else default


def _json_lines(answer: bytes) -> tuple[bytes, bytes]:
    lines = (json.dumps(row) for row in _rows(answer))
    return JSON_LINES.encode(), "".join(f"{line}\n" for line in lines).encode()


def _csv(answer: bytes) -> tuple[bytes, bytes]:
    return b"text/csv; charset=utf-8", _csv_lines(map(_cells, _rows(answer)))


def _csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")  # for half a surrogate pair


def _rows(answer: bytes) -> list[Any]:
    """The predictions by row; an answer that is no list counts as one row."""
    found = json.loads(answer)
    predictions = found.get("predictions", found) if isinstance(found, dict) else found
    return predictions if isinstance(predictions, list) else [predictions]


def _cells(row: Any) -> list[Any]:
    cells = list(row.values()) if isinstance(row, dict) else row
    if not isinstance(cells, list):
        cells = [cells]
    return [json.dumps(one) if isinstance(one, (bool, dict, list)) else one for one in cells]
