"""Reports what a job waits for, after a minute without any response."""

import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import IO, Any, TypeVar, cast

from cloche.values.progress import Say

WORD_SECONDS = 60.0
_TICK_SECONDS = 1.0
Item = TypeVar("Item")


@dataclass(slots=True)
class Silence:
    """The time since something last responded, in seconds of a clock that the caller reads."""

    began: float
    word: float = field(default_factory=lambda: WORD_SECONDS)

    def lasts(self, now: float) -> float:
        """Return the seconds of silence."""
        return now - self.began

    def due(self, now: float) -> bool:
        """Return whether a message is due: after one minute, two, four and so on."""
        if self.lasts(now) < self.word:
            return False
        self.word *= 2
        return True


class SilenceClock:
    """A clock that counts only the seconds during which this process was watching.

    Time in which the process itself was stopped or busy counts as at most one look: a job that was
    stopped by Ctrl-Z and continues must not conclude that its workers were silent for an hour.
    """

    def __init__(self, longest: float) -> None:
        """Start the clock, which counts at most `longest` seconds from one look to the next."""
        self._longest = longest
        self._last = monotonic()
        self.seconds = 0.0

    def tick(self) -> float:
        """Advance the clock and return the seconds counted so far."""
        now = monotonic()
        self.seconds += min(now - self._last, self._longest)
        self._last = now
        return self.seconds


_waits: dict[object, tuple[str, Silence]] = {}


@contextmanager
def awaiting(what: str) -> Iterator[None]:
    """Report `what` (like `standard input`) as silent while the body waits for a long time."""
    wait = object()
    _waits[wait] = what, Silence(monotonic())
    try:
        yield
    finally:
        del _waits[wait]


def awaiting_each(items: Iterator[Item], what: str) -> Iterator[Item]:
    """Yield the items of an iterator, and report `what` as silent while one is awaited."""
    while True:
        with awaiting(what):
            found = list(itertools.islice(items, 1))
        if not found:
            return
        yield from found


@contextmanager
def report_silence(say: Say) -> Iterator[None]:
    """Pass a message to `say`, from a thread, whenever a wait in `awaiting` has become long."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(min(_TICK_SECONDS, WORD_SECONDS)):
            for what, silence in list(_waits.values()):
                now = monotonic()
                if silence.due(now):
                    say(f"{what} has been silent for {silence.lasts(now):.0f} s")

    watching = threading.Thread(target=look, daemon=True, name="silence")
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()


def watched(stream: IO[bytes], name: str) -> IO[bytes]:
    """Return a stream that is reported as silent while a read or write blocks."""
    return cast("IO[bytes]", _Watched(stream, name))


class _Watched(io.RawIOBase):
    """The stream of `watched`."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name = stream, name

    def fileno(self) -> int:
        """Return the file descriptor of the wrapped stream."""
        return self._stream.fileno()

    def readable(self) -> bool:
        """Return whether the wrapped stream is readable."""
        return self._stream.readable()

    def writable(self) -> bool:
        """Return whether the wrapped stream is writable."""
        return self._stream.writable()

    def read(self, size: int = -1) -> bytes:
        """Read from the wrapped stream."""
        with awaiting(self._name):
            return self._stream.read(size)

    def write(self, data: Any) -> int:
        """Write to the wrapped stream."""
        with awaiting(self._name):
            return self._stream.write(data)

    def flush(self) -> None:
        """Flush the wrapped stream."""
        with awaiting(self._name):
            self._stream.flush()
