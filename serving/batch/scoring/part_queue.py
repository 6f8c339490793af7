"""Which part is scored next, by whom. Pure policy.

Parts of one row group are a lane. A worker stays in its lane, because reading on costs nothing and
reading into the middle of a row group costs all rows before. Only when no lane is free it helps out
at the far end of another's.
"""

from collections import deque
from collections.abc import Collection, Iterator

from cloche.serving.batch.job.part import Part
from cloche.serving.batch.job.pinned_job import COLUMNAR

Lane = tuple[str, int]


def lane(part: Part) -> Lane:
    """What parts have in common that are read one after the other."""
    return part.source, part.group if part.format in COLUMNAR else part.index


class PartQueue:
    """The parts that nobody works on yet, of which only the next few lanes are known."""

    def __init__(self, parts: Iterator[Part], lanes: int) -> None:
        self._more = parts
        self._wanted = lanes
        self._lanes: dict[Lane, deque[Part]] = {}
        self._fill()

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def first(self) -> int:
        """The lowest index that waits. There must be one."""
        return min(lane[0].index for lane in self._lanes.values())

    def take(self, own: Lane | None, taken: Collection[Lane]) -> Part:
        """The next part for a worker. There must be one.

        Args:
            own: The lane of the part that it scored last.
            taken: The lanes of the other workers.
        """
        if own not in self._lanes:
            free = (one for one in self._lanes if one not in taken)
            own = next(free, None)
        if own is not None:
            part = self._lanes[own].popleft()
        else:
            own = max(self._lanes, key=lambda one: len(self._lanes[one]))
            part = self._lanes[own].pop()
        if not self._lanes[own]:
            del self._lanes[own]
        self._fill()
        return part

    def _fill(self) -> None:
        while len(self._lanes) < self._wanted:
            part = next(self._more, None)
            if part is None:
                return
            self._lanes.setdefault(lane(part), deque()).append(part)
