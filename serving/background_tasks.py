"""Background tasks, held by strong references: the event loop itself keeps only weak ones.

And how long a process that ended is left alone before the next one is started.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

_RESTART_DELAYS = (0.0, 1.0, 5.0, 15.0)


class Tasks:
    """The background tasks of one owner, which waits for them or cancels them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the background; return its task, which may also be cancelled alone."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def running(self) -> bool:
        """Whether a task has not ended."""
        return bool(self._tasks)

    async def finish(self) -> None:
        """Wait until all tasks have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def restart_delay(failures: int) -> float:
    """Return the seconds before a process is started again after so many failures in a row."""
    return _RESTART_DELAYS[min(failures, len(_RESTART_DELAYS) - 1)]
