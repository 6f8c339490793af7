"""The tag by which the commands find the prediction log of a registered model."""

import logging

from cloche.serving.background_tasks import Tasks
from cloche.serving.errors import ServingError
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion

_SECONDS = 15.0
_logger = logging.getLogger(__name__)


class LogTags:
    """Writes the destination of the log to the tag of each registered model that is served."""

    def __init__(self, registry: Registry, destination: str) -> None:
        """Write nothing yet; without a destination nothing is ever written."""
        self._registry = registry
        self._destination = destination
        self._written: set[str] = set()
        self._writes = Tasks()

    def write(self, resolved: ResolvedVersion) -> None:
        """Write the tags of a version's model and of its stages, in the background."""
        for one in resolved.with_stages:
            if self._destination and one.model and one.model not in self._written:
                self._written.add(one.model)
                self._writes.start(self._write(one.model))

    async def close(self) -> None:
        """End the writes that run."""
        await self._writes.cancel()

    async def _write(self, model: str) -> None:
        try:
            await self._registry.call(
                "write_log_tag", _SECONDS, model=model, destination=self._destination
            )
        except ServingError as error:
            self._written.discard(model)  # the next version of the model tries again
            _logger.warning(
                "The tag cloche.log of the model cannot be written, so commands do not find its "
                "log by themselves: name it by --log, or in the variable CLOCHE_LOG. %s", error,
                extra={"model": model},
            )  # fmt: skip
