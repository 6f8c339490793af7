"""What becomes of a command whose standard output or standard error cannot be written any more.

Without its output a command has failed, unless the reader has left (`cloche status | head`): then
it has printed all that was wanted. A line for people on a full disk, or to a terminal that is gone,
is no reason to fail: whatever the command does goes on without it.
"""

import errno
import io
import os
import sys
from typing import Any


class OutputFailed(Exception):
    """Standard output cannot be written.

    Attributes:
        reader_left: Whether nobody reads it any more.
    """

    def __init__(self, error: OSError) -> None:
        self.reader_left = error.errno == errno.EPIPE
        super().__init__(f"standard output cannot be written: {error.strerror}.")


class _Output(io.FileIO):
    """Standard output, whose failures are told from those of other files."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputFailed(error) from error


class _Errors(io.FileIO):
    """Standard error, of which nobody misses what it cannot take."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def guard() -> None:
    """Have the streams of this process fail so from now on."""
    sys.stdout = _guarded(sys.stdout, _Output, 1)
    sys.stderr = _guarded(sys.stderr, _Errors, 2)


def flush() -> None:
    """Write what waits in standard output.

    Raises:
        OutputFailed: It cannot be written.
    """
    if sys.stdout is not None:  # it is None when it is closed from the beginning
        sys.stdout.flush()


def give_up_output() -> None:
    """Let nothing more be written to standard output, also of what waits in it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _guarded(stream: Any, kind: type[io.FileIO], number: int) -> Any:
    """The stream in a guard, if it is the one that the process was started with."""
    try:
        if stream.fileno() != number:
            return stream
        stream.flush()
    except (AttributeError, OSError, ValueError):  # closed, or a test's
        return stream
    raw = kind(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors,
        line_buffering=stream.line_buffering, write_through=stream.write_through,
    )  # fmt: skip
