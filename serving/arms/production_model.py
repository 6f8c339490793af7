"""A served model whose production may have a canary and a shadow beside it."""

import asyncio
import contextlib
import logging
from typing import Any

from cloche.rollout.registry_keys import ABORTED, CANARY, PROMOTED, SHADOW
from cloche.serving.arms.arm_poller import ArmPoller
from cloche.serving.arms.arm_tags import aborted_problem, is_aborted
from cloche.serving.arms.arms import Arms
from cloche.serving.arms.canary_model import CanaryModel
from cloche.serving.arms.shadow_copies import ShadowCopies, combined_arms
from cloche.serving.arms.shadow_model import ShadowModel
from cloche.serving.background_tasks import Tasks
from cloche.serving.dispatch.served_model import MakeVersionPool, ServedModel
from cloche.serving.dispatch.served_pool import ServedPool
from cloche.serving.errors import ServingError
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import ModelUri

_SECONDS = 15.0  # for one question to the registry
_LAST_WRITE_SECONDS = 3.0  # when the server ends
_logger = logging.getLogger(__name__)


class ProductionModel(ServedModel):
    """A model that follows the alias `production`, and `canary` and `shadow` where they are set.

    An aborted canary gets no requests of this server until somebody removes the tag that says so,
    also while the registry cannot be told.
    """

    def __init__(
        self, uri: ModelUri, registry: Registry, metrics: Metrics, *,
        make: MakeVersionPool, arms: type[Arms] = Arms, copies: type[ShadowCopies] = ShadowCopies,
    ) -> None:  # fmt: skip
        """Serve nothing yet.

        Args:
            uri: The model URI, with the alias `production`.
            registry: The registry.
            metrics: The metrics of the server.
            make: Makes a version pool.
            arms: The class of what requests pass through beside a canary.
            copies: The class of what requests pass through beside a shadow.
        """
        super().__init__(uri, registry, metrics, make=self._take_or_make)
        self._poller: ArmPoller = ArmPoller(registry, uri, _SECONDS)
        self._make = make
        self._promoted: ServedPool | None = None  # the canary's, which is to take over
        self._canary = CanaryModel(
            self, registry, metrics, make=make, arms_class=arms, changed=self._join_arms,
            abort=self._abort,
        )  # fmt: skip
        self._shadow = ShadowModel(
            self, registry, metrics, make=make, copies_class=copies, changed=self._join_arms
        )
        self._canary_problem = ""  # why the version behind the alias takes no requests
        self._canary_version = ""  # that version
        self._aborted: dict[str, str] = {}  # the state to be written, by identity
        self._written_at: dict[str, float] = {}  # when it was, on the loop's clock
        self._writes = Tasks()
        self._write_error = ""

    async def drain(self) -> None:
        """Cancel the loads, and close every version pool after its running batches."""
        await asyncio.gather(self._canary.drain(), self._shadow.drain())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WRITE_SECONDS):
                await self._writes.finish()
        await super().drain()

    async def close(self) -> None:
        """Close all version pools at once: no client is connected any more."""
        await asyncio.gather(self._canary.close(), self._shadow.close())
        await super().close()

    def describe(self) -> dict[str, Any]:
        """The entry of the model in `/readyz`, with its canary and shadow if there are any."""
        described = super().describe()
        if self._canary_problem:
            described["canary"] = {
                "version": self._canary_version, "percent": 0.0, "ready": False, "loading": None,
                "problem": self._canary_problem,
            }  # fmt: skip
        elif self._canary.target is not None:
            described["canary"] = self._canary.describe()
        if self._shadow.target is not None:
            described["shadow"] = self._shadow.describe()
        return described

    async def poll(self) -> None:
        """Ask the registry, and have production, the canary and the shadow follow its answer.

        Raises:
            ServingError: The registry does not answer, or names no version that can serve.
        """
        await super().poll()
        if CANARY in self._poller.looked:
            canary = self._poller.found.get(CANARY)
            if canary is not None and canary.identity == self._wanted_identity:
                # else it would be a canary again when another version is promoted
                self._tell_registry(canary, PROMOTED)
                canary = None
            self._follow_canary(canary)
        if SHADOW in self._poller.looked:
            self._shadow.follow_target(self._poller.found.get(SHADOW))

    def apply(self, resolved: ResolvedVersion) -> None:
        """Load the version that the registry names, unless it is the canary, which is loaded."""
        before = self.loading
        super().apply(resolved)
        if self.loading is not None and self.loading is not before:  # its task has yet to begin
            self._promoted = self._canary.take(resolved.identity)

    async def _take_or_make(self, name: str, resolved: ResolvedVersion) -> ServedPool:
        """Return the canary's version pool if it is promoted, or another one."""
        promoted, self._promoted = self._promoted, None
        if promoted is None:
            return await self._make(name, resolved)
        self._canary.has_taken_over()
        return promoted

    def _join_arms(self) -> None:
        """Let requests pass through what takes them while there is a canary or a shadow."""
        self.arms = combined_arms(self._canary.arms, self._shadow.arms)

    def _follow_canary(self, canary: ResolvedVersion | None) -> None:
        """Have the canary follow its alias, unless its version may not take requests."""
        if canary is None:
            self._canary.follow_target(None)
            return
        self._canary_version = canary.version
        self._canary_problem = self._abort_problem(canary)
        self._canary.follow_target(None if self._canary_problem else canary)

    def _abort_problem(self, canary: ResolvedVersion) -> str:
        """Why an aborted version takes no requests; empty for other versions."""
        identity, version = canary.identity, canary.version
        if is_aborted(canary):
            self._aborted.pop(identity, None)  # from now on the tag says so
            return aborted_problem(version, canary.rollout)
        if identity not in self._aborted:
            return ""
        if self._poller.began > self._written_at.get(identity, self._poller.began):
            del self._aborted[identity]  # somebody has removed the tag
            return ""
        if identity not in self._written_at:
            self._tell_registry(canary, self._aborted[identity])
        return aborted_problem(version, self._aborted[identity])

    def _abort(self, canary: ResolvedVersion, reason: str) -> None:
        """End a canary at once, and tell the registry."""
        state = self._aborted[canary.identity] = f"{ABORTED}: {reason}"
        self._written_at.pop(canary.identity, None)
        self._canary_version = canary.version
        self._canary_problem = aborted_problem(canary.version, state)
        _logger.error("The canary is %s", state, extra=self._label(canary))
        self._canary.end()
        self._tell_registry(canary, state)

    def _tell_registry(self, canary: ResolvedVersion, state: str) -> None:
        if not self._writes.running:
            self._writes.start(self._write(canary, state))

    async def _write(self, canary: ResolvedVersion, state: str) -> None:
        """Write how the canary has ended, and take its alias away; a poll tries it again."""
        about = {"model": self.uri.model, "version": canary.version, "state": state}
        try:
            await self._registry.call("end_canary", _SECONDS, **about)
            self._written_at[canary.identity] = self._loop.time()
            self._write_error = ""
        except ServingError as error:
            if str(error) != self._write_error:
                _logger.warning(
                    "The registry cannot be told that the canary is %s, and is told again. %s",
                    state, error, extra=self._label(canary),
                )  # fmt: skip
            self._write_error = str(error)

    def _label(self, canary: ResolvedVersion) -> dict[str, str]:
        return {"model": self.name, "version": canary.version}
