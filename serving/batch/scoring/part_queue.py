"""Decides which worker scores which part next. Pure policy.

The parts of one row group form a lane. A worker stays in its lane, because a reader must read a row
group from its start to reach a row in the middle. Only when no lane is free does a worker take the
last part of another worker's lane.
"""

from collections import deque
from collections.abc import Collection, Iterator

from cloche.serving.batch.job.part import Part

Lane = tuple[str, int]


def lane(part: Part) -> Lane:
    """Return the lane of a part: its row group, or the part itself for text."""
    return part.source, part.group


class PartQueue:
    """The parts that no worker has yet; only the next few lanes are read from the input.

    To read them takes time. So `take` reads none while there are parts, and `fill` does it once all
    workers have one.
    """

    def __init__(self, parts: Iterator[Part], lanes: int) -> None:
        self._more = parts
        self._wanted = lanes
        self._lanes: dict[Lane, deque[Part]] = {}
        self.fill()

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def first(self) -> int:
        """Return the lowest index of a waiting part. There must be one."""
        return min(lane[0].index for lane in self._lanes.values())

    def take(self, own: Lane | None, taken: Collection[Lane]) -> Part:
        """Remove and return the next part for a worker. There must be one.

        Args:
            own: The lane of the worker's last part; None if it had none.
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
        if not self._lanes:
            self.fill()
        return part

    def fill(self) -> None:
        """Read the next lanes."""
        while len(self._lanes) < self._wanted:
            part = next(self._more, None)
            if part is None:
                return
            self._lanes.setdefault(lane(part), deque()).append(part)
