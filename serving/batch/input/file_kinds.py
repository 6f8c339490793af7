"""Recognizes a file whose content is not what its name suggests, and advises what to do."""

import re

from cloche.serving.batch.input.formats.catalog import input_formats

_OTHERS = [
    (rb"\x1f\x8b", "compressed: end its name in .gz, like rows.csv.gz"),
    (rb"BZh", "compressed: end its name in .bz2, like rows.csv.bz2"),
    (rb"\xfd7zXZ", "compressed: end its name in .xz, like rows.csv.xz"),
    (rb"\x28\xb5\x2f\xfd", "compressed: end its name in .zst, like rows.csv.zst"),
    (rb"PK.{28}.*?(xl/|content\.xml)", "a workbook: save it as CSV"),
    (rb"PK", "a ZIP archive: unpack it with unzip, and score what was in it"),
    (rb"\xd0\xcf\x11\xe0", "a workbook: save it as CSV"),
    (rb"SQLite format 3", "a SQLite database: score sqlite:///PATH with --query 'SELECT …'"),
    (rb"\s*\[\s*\{", "a list in JSON: write a line for each row by jq -c '.[]' FILE > rows.jsonl"),
    (rb"\s*<(!doctype html|html|\?xml)", "a page or document: save its table as CSV"),
]


def advice_on_content(head: bytes) -> str:
    """Return what a file is and how to score it, as a clause; empty if it may be CSV."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    known = [one.recognized_by for one in input_formats() if one.recognized_by]
    found = (advice for start, advice in known + _OTHERS if re.match(start, text, re.S | re.I))
    return next(found, "")
