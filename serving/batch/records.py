"""Where records of CSV and JSON lines end in a block of bytes.

A line feed or a carriage return ends a record unless it lies within quotes. Quotes are read as
pandas' C parser reads them: one that does not begin a field is an ordinary character.
"""

import re

import numpy as np

_QUOTE, _LINE_FEED, _CARRIAGE_RETURN = 0x22, 0x0A, 0x0D
_ENDS = re.compile(rb"[\r\n]")


def last_end(block: bytes, delimiter: str) -> int:
    """The offset after the last whole CSV record of `block`, which starts with a record.

    0 if there is none.
    """
    if b'"' not in block:
        return block.rfind(b"\n") + 1
    quotes = _boundaries(block, delimiter)
    end = len(block)
    while (end := block.rfind(b"\n", 0, end)) >= 0:
        if np.searchsorted(quotes, end) % 2 == 0:
            return end + 1
    return 0


def split(block: bytes, delimiter: str) -> list[bytes]:
    """The CSV records in `block`, without their line ends; blank lines are none."""
    if b'"' not in block:
        lines = _ENDS.split(block)
    else:
        content = np.frombuffer(block, np.uint8)
        found = np.flatnonzero((content == _LINE_FEED) | (content == _CARRIAGE_RETURN))
        inside = np.searchsorted(_boundaries(block, delimiter), found) % 2
        ends = [*found[inside == 0].tolist(), len(block)]
        lines = [block[a:b] for a, b in zip([0, *(end + 1 for end in ends)], ends, strict=False)]
    return [line for line in lines if not line.isspace() and line]


def _boundaries(block: bytes, delimiter: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Positions of quotes of which every second one ends what the one before began."""
    quotes = np.flatnonzero(np.frombuffer(block, np.uint8) == _QUOTE)
    opening = quotes[::2]
    before = np.frombuffer(block, np.uint8)[opening - 1]  # of the first byte: any, see below
    allowed = np.frombuffer(f'{delimiter}\r\n"'.encode(), np.uint8)
    if np.all(np.isin(before, allowed) | (opening == 0)) and _pairs_touch(block, quotes):
        return quotes
    return np.array(_walk(block, delimiter), np.int64)


def _pairs_touch(block: bytes, quotes: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> bool:
    """Whether an opening quote after a quote continues that quoted field: `""` within it."""
    opening = quotes[2::2]
    after_quote = np.frombuffer(block, np.uint8)[opening - 1] == _QUOTE
    return bool(np.all(quotes[1:-1:2][: len(opening)][after_quote] == opening[after_quote] - 1))


def _walk(block: bytes, delimiter: str) -> list[int]:
    """The same, quote by quote, for blocks where some quotes are ordinary characters."""
    starts = (delimiter.encode(), b"\r", b"\n", b"")
    found: list[int] = []
    at = block.find(b'"')
    while at >= 0:
        if block[max(at - 1, 0) : at] not in starts:
            at = block.find(b'"', at + 1)
            continue
        close = block.find(b'"', at + 1)
        while close >= 0 and block[close + 1 : close + 2] == b'"':
            close = block.find(b'"', close + 2)
        if close < 0:
            return [*found, at]
        found += (at, close)
        at = block.find(b'"', close + 1)
    return found
