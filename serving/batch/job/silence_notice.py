"""Says what a job waits for, when it has heard nothing for a minute."""

import io
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import IO, Any, TypeVar, cast

WORD_SECONDS = 60.0
_TICK_SECONDS = 1.0
Item = TypeVar("Item")


@dataclass(slots=True)
class Silence:
    """How long somebody has said nothing, in the seconds that a clock of the caller's tells."""

    began: float
    word: float = field(default_factory=lambda: WORD_SECONDS)

    def lasts(self, now: float) -> float:
        """Seconds of silence."""
        return now - self.began

    def due(self, now: float) -> bool:
        """Whether a line is due: after a minute, two, four and so on."""
        if self.lasts(now) < self.word:
            return False
        self.word *= 2
        return True


class SilenceWatch:
    """Seconds during which this process watched.

    Those in which it was stopped itself, or busy elsewhere, count as one look: a job that was
    stopped by Ctrl-Z and goes on must not find that all its workers were silent for an hour.
    """

    def __init__(self, longest: float) -> None:
        """Count at most so many seconds from one look to the next."""
        self._longest = longest
        self._last = monotonic()
        self.seconds = 0.0

    def look(self) -> float:
        """The seconds so far."""
        now = monotonic()
        self.seconds += min(now - self._last, self._longest)
        self._last = now
        return self.seconds


_waits: dict[object, tuple[str, Silence]] = {}


@contextmanager
def during(what: str) -> Iterator[None]:
    """Wait for something that may be silent, like `standard input` or `the upload of x`."""
    wait = object()
    _waits[wait] = what, Silence(monotonic())
    try:
        yield
    finally:
        del _waits[wait]


def each(items: Iterator[Item], what: str) -> Iterator[Item]:
    """The items of an iterator that may be silent."""
    while True:
        with during(what):
            found = list(itertools.islice(items, 1))
        if not found:
            return
        yield from found


@contextmanager
def say_when_silent(say: Callable[[str], None]) -> Iterator[None]:
    """Say it when anything that is waited for is silent."""
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
    """A stream of which it is told when it keeps us waiting."""
    return cast("IO[bytes]", _Watched(stream, name))


class _Watched(io.RawIOBase):
    """See `watched`."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name = stream, name

    def fileno(self) -> int:
        """That of the stream."""
        return self._stream.fileno()

    def readable(self) -> bool:
        """As the stream."""
        return self._stream.readable()

    def writable(self) -> bool:
        """As the stream."""
        return self._stream.writable()

    def read(self, size: int = -1) -> bytes:
        """As the stream."""
        with during(self._name):
            return self._stream.read(size)

    def write(self, data: Any) -> int:
        """As the stream."""
        with during(self._name):
            return self._stream.write(data)

    def flush(self) -> None:
        """As the stream."""
        with during(self._name):
            self._stream.flush()
