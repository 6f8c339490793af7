"""The tag in which a server tells the registry what it counts of a version's rollout."""

import logging
import os
import re
import socket
from collections.abc import Callable
from dataclasses import replace

from cloche.rollout.server_counts import ServerCounts
from cloche.serving.dispatch.registry_poller import RegistryPoller
from cloche.serving.errors import ServingError, VersionRefused
from cloche.serving.registry.client import Registry

_SECONDS = 5.0  # between two writes, unless the registry is slow
_CALL_SECONDS = 15.0
_LAST_TRIES = 60  # after `end`
_MOST_OF_NAME = 100  # characters of the host's name; MLflow takes 250 for the key
_logger = logging.getLogger(__name__)


class CountsTag(RegistryPoller):
    """A tag `cloche.rollout_counts.SERVER` on a version, which `keep` keeps written.

    It is written at once, when the share changes (`wake`), and otherwise every few seconds if
    something was counted. A registry that is away has all of it with the next write.

    Attributes:
        server: The host's name and a random part, which no other tag has. So a server that starts
            again, or gets the version again, adds to what it has written.
    """

    def __init__(
        self, registry: Registry, model: str, version: str, read: Callable[[], ServerCounts]
    ) -> None:
        """Have nothing written yet; `read` returns what is to be written."""
        super().__init__(registry, "write_counts", _CALL_SECONDS)
        host = re.sub(r"[^\w-]+", "-", socket.gethostname(), flags=re.ASCII)
        self.server = f"{host[:_MOST_OF_NAME]}-{os.urandom(4).hex()}"
        self._about = {"model": model, "version": version}
        self._read = read
        self._written = ""
        self._ended = self._removed = False
        self._error = ""

    def end(self, *, remove: bool) -> None:
        """Write a last time, that the version gets no requests any more, or remove the tag."""
        self._ended, self._removed = True, remove
        self.wake()

    async def keep(self) -> None:
        """Keep the tag written until `end`, and then have the last write done."""
        while not self._ended:
            self._wake.clear()
            await self._write()
            await self.rest(_SECONDS)
        for _ in range(_LAST_TRIES):
            self._wake.clear()
            if await self._write():
                return
            await self.rest(_SECONDS)

    async def _write(self) -> bool:
        """Write what has changed since the last write; return whether nothing is left to write."""
        counts = self._read()
        if self._ended:
            counts = replace(counts, percent=0.0, shadow_percent=0.0)
        changing = replace(counts, at=0.0).as_json()
        if self._removed:
            self._method, self._params = "remove_counts", self._about | {"run_id": counts.run_id}
        elif changing == self._written:
            return True
        else:
            self._method = "write_counts"
            self._params = self._about | {"server": self.server, "value": counts.as_json()}
        try:
            await self.poll()
        except VersionRefused:
            return True  # the version is gone
        except ServingError as error:
            if str(error) != self._error:
                _logger.warning(
                    "The registry cannot be told what is counted of a rollout, and is told again. "
                    "%s", error, extra=self._about,
                )  # fmt: skip
            self._error = str(error)
            return False
        self._written, self._error = changing, ""
        return True
