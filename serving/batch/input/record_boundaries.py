"""Finds where CSV records end in a block of bytes.

A line feed or a carriage return ends a record unless it lies within quotes. As in pandas' C parser,
a quote that does not begin a field is an ordinary character.

Text is plain if Arrow provably divides it into the records and fields that pandas reads: it is
UTF-8, its first, third, fifth … quote begins a field and the others end one, and it has no NUL and
no lone carriage return. All other text is left to pandas.
"""

import codecs
import re
import struct
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cloche.serving.batch.input.csv_options import Dialect

_LINE_FEED, _CARRIAGE_RETURN, _BLANK = 0x0A, 0x0D, 0x20
_ENDS = re.compile(rb"[\r\n]")
_PIECE = 1 << 18  # bytes that are looked at together, so that they stay in a processor's cache


class Records(NamedTuple):
    """The whole records at the start of a block.

    Attributes:
        end: The offset after the last of them; 0 if no record is complete.
        plain: Whether their text is plain.
    """

    end: int
    plain: bool


def whole_records(block: bytes | bytearray, dialect: Dialect, *, last: bool = False) -> Records:
    """Find the whole records of a block.

    Args:
        block: Text that starts at the beginning of a record.
        dialect: The characters that divide the text.
        last: Whether the text ends with the block, so that its last record needs no line end.
    """
    quotes = _Quotes.of(block, dialect)
    end = len(block) if last else quotes.last_end(block, dialect)
    whole = not last or quotes.before[-1] % 2 == 0
    return Records(end, whole and end <= quotes.stray and _is_plain(block, end, dialect))


class _Quotes(NamedTuple):
    """The quotes of a block, where each second one is taken for the end of a field.

    Attributes:
        before: The number of quotes before each piece of the block, and in the whole block.
        boundaries: Whether the readers take them so.
        stray: The offset of the first one that neither begins nor ends a field; or the length.
    """

    before: list[int]
    boundaries: bool
    stray: int

    @classmethod
    def of(cls, block: bytes | bytearray, dialect: Dialect) -> "_Quotes":
        text, quote, delimiter = (
            np.frombuffer(block, np.uint8),
            ord(dialect.quote),
            ord(dialect.delimiter),
        )
        counts, boundaries, stray = [0], True, len(text)
        for start in range(0, len(text), _PIECE):
            found = np.flatnonzero(text[start : start + _PIECE] == quote) + start
            inside = counts[-1] % 2
            opening, closing = found[inside::2], found[1 - inside :: 2]
            left = text[opening - 1]  # at offset 0 any byte
            right = text[np.minimum(closing + 1, len(text) - 1)]  # at the end the quote itself
            begins = (left == delimiter) | (left == _LINE_FEED) | (opening == 0)
            ends = (right == delimiter) | (right == _LINE_FEED) | (right == _CARRIAGE_RETURN)
            boundaries &= bool(np.all(begins | (left == _CARRIAGE_RETURN) | (left == quote)))
            stray = min([stray, *opening[~begins][:1].tolist(), *closing[~ends][:1].tolist()])
            counts.append(counts[-1] + len(found))
        return cls(counts, boundaries, stray)

    def last_end(self, block: bytes | bytearray, dialect: Dialect) -> int:
        """Return the offset after the last line feed outside of quotes; 0 if there is none."""
        if not self.before[-1]:
            return block.rfind(b"\n") + 1
        text = np.frombuffer(block, np.uint8)
        known = None if self.boundaries else np.array(_walk(block, dialect), np.int64)
        for at in reversed(range(len(self.before) - 1)):
            start = at * _PIECE
            piece = text[start : start + _PIECE]
            feeds = np.flatnonzero(piece == _LINE_FEED)
            if known is None:
                quotes = np.flatnonzero(piece == ord(dialect.quote))
                inside = np.searchsorted(quotes, feeds) + self.before[at]
            else:
                inside = np.searchsorted(known, feeds + start)
            if len(outside := feeds[inside % 2 == 0]):
                return int(start + outside[-1] + 1)
        return 0


def _is_plain(block: bytes | bytearray, end: int, dialect: Dialect) -> bool:
    """Whether text is plain, but for its quotes."""
    if dialect.spaced or block.find(b"\0", 0, end) >= 0 or block.startswith(codecs.BOM_UTF8):
        return False
    if block.find(b"\r", 0, end) >= 0 and (
        block.count(b"\r", 0, end) != block.count(b"\r\n", 0, end)
    ):
        return False
    ends = pa.py_buffer(struct.pack("=qq", 0, end))
    try:
        pa.LargeStringArray.from_buffers(1, ends, pa.py_buffer(block)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def split(block: bytes, dialect: Dialect) -> list[bytes]:
    """Return the CSV records in `block` without their line ends; blank lines are skipped."""
    if dialect.quote.encode() not in block:
        lines = _ENDS.split(block)
    else:
        content = np.frombuffer(block, np.uint8)
        found = np.flatnonzero((content == _LINE_FEED) | (content == _CARRIAGE_RETURN))
        inside = np.searchsorted(_boundaries(block, dialect), found) % 2
        ends = [*found[inside == 0].tolist(), len(block)]
        lines = [block[a:b] for a, b in zip([0, *(end + 1 for end in ends)], ends, strict=False)]
    return [line for line in lines if not line.isspace() and line]


def _boundaries(block: bytes, dialect: Dialect) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return the positions of the quotes that open and close fields, alternately."""
    quote = ord(dialect.quote)
    quotes = np.flatnonzero(np.frombuffer(block, np.uint8) == quote)
    opening = quotes[::2]
    before = np.frombuffer(block, np.uint8)[opening - 1]  # at offset 0 any byte; allowed below
    allowed = np.zeros(256, bool)
    allowed[list(f"{dialect.delimiter}\r\n{dialect.quote}".encode())] = True
    if np.all(allowed[before] | (opening == 0)):
        return quotes
    return np.array(_walk(block, dialect), np.int64)


def _walk(block: bytes | bytearray, dialect: Dialect) -> list[int]:
    """Find the positions quote by quote, for blocks where some quotes are ordinary characters."""
    quote = dialect.quote.encode()
    starts = (dialect.delimiter.encode(), b"\r", b"\n", b"")
    found: list[int] = []
    at = block.find(quote)
    while at >= 0:
        begin = at
        while dialect.spaced and begin and block[begin - 1] == _BLANK:
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
