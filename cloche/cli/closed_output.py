"""Handling of standard output and standard error that cannot be written any more.

A command that cannot write standard output has failed, unless the reader has closed the pipe
(`cloche status | head`): then the reader has all it wanted. A failed write to standard error, on a
full disk or to a closed terminal, is no reason to fail: the command goes on without that line.
"""

import errno
import io
import os
import sys
from typing import Any


class OutputFailed(Exception):
    """Standard output cannot be written.

    Attributes:
        reader_left: Whether the reader has closed its end of the pipe (EPIPE).
    """

    def __init__(self, error: OSError) -> None:
        self.reader_left = error.errno == errno.EPIPE
        super().__init__(f"standard output cannot be written: {error.strerror}.")


class _Output(io.FileIO):
    """Standard output that raises `OutputFailed` if it cannot be written."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputFailed(error) from error


class _Errors(io.FileIO):
    """Standard error that silently drops data that cannot be written."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def guard() -> None:
    """Replace `sys.stdout` and `sys.stderr` by streams that fail as this module describes."""
    sys.stdout = _guarded(sys.stdout, _Output, 1)
    sys.stderr = _guarded(sys.stderr, _Errors, 2)


def flush() -> None:
    """Write the buffered data of standard output.

    Raises:
        OutputFailed: Standard output cannot be written.
    """
    if sys.stdout is not None:  # None if the process was started with standard output closed
        sys.stdout.flush()


def discard_output() -> None:
    """Redirect standard output, including its buffered data, to /dev/null."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _guarded(stream: Any, kind: type[io.FileIO], number: int) -> Any:
    """Wrap a stream in `kind` if it is the one that the process was started with."""
    try:
        if stream.fileno() != number:
            return stream
        stream.flush()
    except (AttributeError, OSError, ValueError):  # closed, or replaced by a test
        return stream
    raw = kind(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors,
        line_buffering=stream.line_buffering, write_through=stream.write_through,
    )  # fmt: skip
