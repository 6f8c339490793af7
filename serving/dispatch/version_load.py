"""The load of one version on its way: since when it runs, and how it is given up."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

_REMIND_SECONDS = 30.0  # after which the log says that a load goes on; doubled each time
_logger = logging.getLogger(__name__)


class VersionLoad:
    """A version that is being loaded, in a task.

    Attributes:
        target: What the registry said of the version.
        since: When the load began.
        task: What loads it.
    """

    task: asyncio.Task[None]

    def __init__(self, model: str, target: dict[str, Any]) -> None:
        """Take which version of `model` is loaded."""
        self.target = target
        self.since = datetime.now(UTC)
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._remind = _REMIND_SECONDS
        _logger.info("Loading.", extra=self._label)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._loop.time() - self._began

    @property
    def in_words(self) -> str:
        """In a sentence, for as long as it runs."""
        return f"{named(self.target)} is being loaded, since {self.since:%H:%M:%S} UTC."

    def describe(self) -> dict[str, str]:
        """What `/readyz` tells of it."""
        return {"version": self.target["version"], "since": self.since.isoformat()}

    def remind(self) -> None:
        """Say now and then in the log that it still runs."""
        if self.seconds >= self._remind:
            self._remind *= 2
            _logger.warning("Still loading. %s", self.in_words, extra=self._label)

    def give_up(self) -> None:
        """End it: the registry names another version by now."""
        self.task.cancel()
        _logger.info("Given up: the registry names another version by now.", extra=self._label)

    @property
    def _label(self) -> dict[str, str]:
        return {"model": self._model, "version": self.target["version"]}


def named(target: dict[str, Any]) -> str:
    """A version as sentences begin with it; files outside a registry have no number."""
    return f"Version {target['version']}" if target["version"] else "The model"


class Failures:
    """Why versions could not be loaded, by their identity, until one is."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._lasting: set[str] = set()
        self._pauses: dict[str, float] = {}  # until when, on the clock of the event loop

    def of(self, identity: str) -> str:
        """Why that version could not be loaded; empty if it was not tried, or may be now."""
        return self._reasons.get(identity, "")

    def note(self, identity: str, reason: str, *, lasting: bool) -> bool:
        """Note a failure; whether it is another one than the last time.

        Args:
            identity: Of the version.
            reason: Why it could not be loaded.
            lasting: Whether only somebody who changes the version can mend it. What is not lasting
                is told until a load of the version succeeds, and not only between two attempts.
        """
        known = self._reasons.get(identity) == reason
        self._reasons[identity] = reason
        (self._lasting.add if lasting else self._lasting.discard)(identity)
        return not known

    def pause(self, identity: str, until: float) -> None:
        """Note until when the version is not tried again."""
        self._pauses[identity] = until

    def is_paused(self, identity: str, now: float) -> bool:
        """Whether the version was tried shortly before."""
        return now < self._pauses.get(identity, now)

    def begin(self, identity: str) -> None:
        """Note that the version is loaded again: somebody changed it."""
        if identity in self._lasting:
            del self._reasons[identity]
            self._lasting.discard(identity)

    def clear(self) -> None:
        """Note that a version was loaded."""
        self._reasons.clear()
        self._lasting.clear()
        self._pauses.clear()
