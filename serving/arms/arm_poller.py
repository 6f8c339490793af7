"""Polls the registry for the version of a model, and for its canary and its shadow."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cloche.rollout.registry_keys import CANARY, SHADOW
from cloche.serving.dispatch.registry_poller import RegistryPoller
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import ModelUri

_LOOK_POLLS, _LOOK_SECONDS = 5, 10.0  # between two looks for an absent arm


class ArmPoller(RegistryPoller):
    """Polls for production's version and the arms; for those that are absent only now and then.

    The question for an absent alias costs about half of one for production's version. Absent arms
    take turns, so that the second one costs nothing.

    Attributes:
        found: The version of each arm, as the last look for it has found it.
        looked: The arms for which the last poll looked.
        began: The time at which the last poll began, on the loop's clock.
    """

    def __init__(self, registry: Registry, uri: ModelUri, time_limit: float) -> None:
        super().__init__(registry, "resolve_arms", time_limit, uri=asdict(uri), aliases=[])
        self.found: dict[str, ResolvedVersion] = {}
        self.looked: Sequence[str] = ()
        self.began = self._looked_at = -math.inf
        self._polls = self._turns = 0

    def wake(self) -> None:
        """Poll now instead of after the pause, also for the arms."""
        self._polls = 0
        super().wake()

    async def poll(self) -> Any:
        """Poll the registry now, and return what it says of production's version."""
        self.looked, self.began = (), self._loop.time()
        aliases = [*self.found, *self._absent_to_look_for()]
        self._params["aliases"] = aliases
        resolved = await super().poll()
        for alias in aliases:
            arm = resolved.pop(alias)
            self.found.pop(alias, None)
            if arm is not None:
                self.found[alias] = ResolvedVersion.from_json(arm)
        self.looked = aliases
        return resolved

    def _absent_to_look_for(self) -> Sequence[str]:
        """All absent arms in the first poll and when it was woken, else one now and then."""
        absent = [alias for alias in (CANARY, SHADOW) if alias not in self.found]
        polls, self._polls = self._polls, self._polls + 1
        if polls % _LOOK_POLLS and self.began - self._looked_at < _LOOK_SECONDS:
            return ()
        self._looked_at = self.began
        if not polls or not absent:
            return absent
        self._turns += 1
        return absent[self._turns % len(absent) :][:1]
