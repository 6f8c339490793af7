"""Finds where CSV records end in a block of bytes.

A line feed or a carriage return ends a record unless it lies within quotes. As in pandas' C parser,
a quote that does not begin a field is an ordinary character.
"""

import re

import numpy as np

from cloche.serving.batch.input.csv_options import Dialect

_LINE_FEED, _CARRIAGE_RETURN, _BLANK = 0x0A, 0x0D, 0x20
_ENDS = re.compile(rb"[\r\n]")


def last_end(block: bytes, form: Dialect) -> int:
    """Return the offset after the last whole record of `block`; 0 if no record is complete.

    `block` must start at the beginning of a record.
    """
    if form.quote.encode() not in block:
        return block.rfind(b"\n") + 1
    quotes = _boundaries(block, form)
    end = len(block)
    while (end := block.rfind(b"\n", 0, end)) >= 0:
        if np.searchsorted(quotes, end) % 2 == 0:
            return end + 1
    return 0


def split(block: bytes, form: Dialect) -> list[bytes]:
    """Return the CSV records in `block` without their line ends; blank lines are skipped."""
    if form.quote.encode() not in block:
        lines = _ENDS.split(block)
    else:
        content = np.frombuffer(block, np.uint8)
        found = np.flatnonzero((content == _LINE_FEED) | (content == _CARRIAGE_RETURN))
        inside = np.searchsorted(_boundaries(block, form), found) % 2
        ends = [*found[inside == 0].tolist(), len(block)]
        lines = [block[a:b] for a, b in zip([0, *(end + 1 for end in ends)], ends, strict=False)]
    return [line for line in lines if not line.isspace() and line]


def _boundaries(block: bytes, form: Dialect) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return the positions of the quotes that open and close fields, alternately."""
    quote = ord(form.quote)
    quotes = np.flatnonzero(np.frombuffer(block, np.uint8) == quote)
    opening = quotes[::2]
    before = np.frombuffer(block, np.uint8)[opening - 1]  # at offset 0 any byte; allowed below
    allowed = np.zeros(256, bool)
    allowed[list(f"{form.delimiter}\r\n{form.quote}".encode())] = True
    if np.all(allowed[before] | (opening == 0)):
        return quotes
    return np.array(_walk(block, form), np.int64)


def _walk(block: bytes, form: Dialect) -> list[int]:
    """Find the positions quote by quote, for blocks where some quotes are ordinary characters."""
    quote = form.quote.encode()
    starts = (form.delimiter.encode(), b"\r", b"\n", b"")
    found: list[int] = []
    at = block.find(quote)
    while at >= 0:
        begin = at
        while form.spaced and begin and block[begin - 1] == _BLANK:
            begin -= 1
        if block[max(begin - 1, 0) : begin] not in starts:
            at = block.find(quote, at + 1)
            continue
        close = block.find(quote, at + 1)
        while close >= 0 and block[close + 1 : close + 2] == quote:
            close = block.find(quote, close + 2)
        if close < 0:
            return [*found, at]
        found += (at, close)
        at = block.find(quote, close + 1)
    return found
