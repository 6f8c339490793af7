"""The load of one version: its progress and cancellation; and the failures of earlier loads."""

import asyncio
import logging
from datetime import UTC, datetime

from cloche.serving.registry.resolved_version import ResolvedVersion

_REMIND_SECONDS = 30.0  # until the first log line on a load that still runs; doubled each time
_logger = logging.getLogger(__name__)


class VersionLoad:
    """A version that is being loaded, in a task."""

    task: asyncio.Task[None]

    def __init__(self, model: str, resolved: ResolvedVersion) -> None:
        """Record that the version `resolved` of `model` is being loaded."""
        self.resolved = resolved
        self.since = datetime.now(UTC)
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._remind = _REMIND_SECONDS
        _logger.info("Loading.", extra=self._label)

    @property
    def seconds(self) -> float:
        """The duration of the load so far, in seconds."""
        return self._loop.time() - self._began

    @property
    def sentence(self) -> str:
        """A sentence on the load, for as long as it runs."""
        return f"{sentence_start(self.resolved)} is being loaded, since {self.since:%H:%M:%S} UTC."

    def describe(self) -> dict[str, str]:
        """The entry of the load in `/readyz`."""
        return {"version": self.resolved.version, "since": self.since.isoformat()}

    def remind(self) -> None:
        """Log now and then that the load still runs."""
        if self.seconds >= self._remind:
            self._remind *= 2
            _logger.warning("Still loading. %s", self.sentence, extra=self._label)

    def give_up(self) -> None:
        """Cancel the load: the registry names another version by now, or none."""
        self.task.cancel()
        _logger.info("Given up: the registry no longer names this version.", extra=self._label)

    @property
    def _label(self) -> dict[str, str]:
        return {"model": self._model, "version": self.resolved.version}


def sentence_start(resolved: ResolvedVersion) -> str:
    """The version as the beginning of a sentence; models outside a registry have no number."""
    return f"Version {resolved.version}" if resolved.version else "The model"


class LoadFailures:
    """The reasons why versions could not be loaded, by identity, until a version is loaded."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._lasting: set[str] = set()
        self._pauses: dict[str, float] = {}  # no attempts before these times, on the loop's clock

    def reason(self, identity: str) -> str:
        """Why the version could not be loaded; empty if it was not tried, or has changed."""
        return self._reasons.get(identity, "")

    def note(self, identity: str, reason: str, *, lasting: bool) -> bool:
        """Record a failure; return whether its reason differs from the last one.

        Args:
            identity: The identity of the version.
            reason: The reason why the version could not be loaded.
            lasting: Whether the failure lasts until somebody changes the version. Other failures
                are reported until a load of the version succeeds, also during further attempts.
        """
        known = self._reasons.get(identity) == reason
        self._reasons[identity] = reason
        (self._lasting.add if lasting else self._lasting.discard)(identity)
        return not known

    def pause(self, identity: str, until: float) -> None:
        """Record the time until which the version is not tried again."""
        self._pauses[identity] = until

    def is_paused(self, identity: str, now: float) -> bool:
        """Whether the last attempt to load the version was too recent."""
        return now < self._pauses.get(identity, now)

    def begin(self, identity: str) -> None:
        """Forget a lasting failure: the version was changed, and is loaded again."""
        if identity in self._lasting:
            del self._reasons[identity]
            self._lasting.discard(identity)

    def clear(self) -> None:
        """Forget all failures: a version was loaded."""
        self._reasons.clear()
        self._lasting.clear()
        self._pauses.clear()
