"""Finds the end of the header of a CSV file, including skipped lines above it."""

import codecs
from typing import Any

from cloche.serving.batch.input.record_boundaries import whole_records
from cloche.serving.batch.input.sources import InputFile
from cloche.serving.errors import JobFailed

MOST_RECORD_BYTES = 256 << 20  # limits the memory that an unclosed quote can take
_MOST_LINES = 1000  # of a header with quoted line ends, including blank lines above it
_CHUNK = 1 << 16


def read_header(stream: Any, file: InputFile) -> tuple[bytes, bytes]:
    """Return the bytes of a UTF-8 stream before the first row, and those that were read beyond.

    Raises:
        JobFailed: The header does not end, or only carriage returns end lines.
    """
    has_header, lines = file.csv_options.has_header, file.csv_options.skipped
    read, end, begin, skipped, seen = b"", 0, 0, 0, 0
    if not has_header and not lines:
        return read, read
    while more := stream.read(_CHUNK):
        read += more
        refuse_endless(file.name, len(read))
        while (feed := read.find(b"\n", end)) >= 0:
            end = feed + 1
            if skipped < lines:
                skipped, begin = skipped + 1, end
                if skipped < lines or has_header:
                    continue
                return read[:end], read[end:]
            seen += 1
            if seen > _MOST_LINES:
                raise JobFailed(
                    f"{file.name}: its header has no end within {_MOST_LINES:,} lines. Is a quote "
                    "never closed?"
                )
            head = read[begin:end].removeprefix(codecs.BOM_UTF8)
            if head.strip() and whole_records(head, file.dialect).end == len(head):
                return read[:end], read[end:]
    if b"\n" not in read and read.rstrip(b"\r").count(b"\r"):
        raise JobFailed(
            f"{file.name}: its lines end in carriage returns alone. Give it line feeds: "
            "tr '\\r' '\\n' < OLD > NEW"
        )
    return read, b""


def refuse_endless(name: str, size: int, most: int = MOST_RECORD_BYTES) -> None:
    """Refuse an incomplete record that is larger than a record may be.

    Raises:
        JobFailed: `size`, the bytes that were read of it, is more than `most`.
    """
    if size > most:
        raise JobFailed(
            f"{name}: a record of more than {size >> 20} MiB. Is a quote never "
            "closed, or is this no text file?"
        )
