"""One served model: it follows its URI, and switches to the version that the registry names.

A new version is loaded beside the one that serves, and takes over when it is warm. The registry is
polled meanwhile, and a load is cancelled when the registry names another version.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from cloche.registry.input_change import input_changes
from cloche.serving.background_tasks import Tasks
from cloche.serving.dispatch.poll_policy import ServingState, should_load
from cloche.serving.dispatch.registry_poller import RegistryPoller
from cloche.serving.dispatch.served_pool import Arms, ServedPool
from cloche.serving.dispatch.version_history import VersionHistory
from cloche.serving.dispatch.version_load import LoadFailures, VersionLoad, sentence_start
from cloche.serving.errors import HostFailed, RegistryUnreachable, ServingError, VersionRefused
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import ModelUri

_RESOLVE_SECONDS = 15.0
_RETRY_SECONDS = 5.0
_logger = logging.getLogger(__name__)

MakeVersionPool = Callable[[str, ResolvedVersion], Awaitable[ServedPool]]


class ServedModel:
    """A model that is served under a name.

    Attributes:
        uri: The model URI that it follows.
        name: The name under which it is served.
        current: The version pool that takes requests; None until the first version is warm.
        arms: What takes the requests instead while a canary serves beside it; None without one.
        since: The time at which that version pool took over.
        warning: What it takes that the version pool before it did not; empty if requests fit both.
        loading: The load of the version that is to take over; None if there is none.
        history: The model's versions, and what was monitored, as the registry describes them.
        in_progress: The number of requests that are not answered yet.
        read_at: The time at which the registry was last read, on the loop's clock.
    """

    def __init__(
        self,
        uri: ModelUri,
        registry: Registry,
        metrics: Metrics,
        *,
        make: MakeVersionPool,
    ) -> None:
        self.uri = uri
        self.name = uri.name
        self.current: ServedPool | None = None
        self.arms: Arms | None = None
        self.since: datetime | None = None
        self.warning = ""
        self.loading: VersionLoad | None = None
        self.history = VersionHistory(uri, registry)
        self._registry = registry
        self._metrics = metrics
        self._make_pool = make
        self.in_progress = 0
        self._state = ServingState()
        self._wanted_identity = ""  # the identity of the version that the registry named last
        self._read_error = ""  # why the registry could not be read
        self._failures = LoadFailures()
        self._loop = asyncio.get_running_loop()
        self.read_at = self._loop.time()
        self._loads = Tasks()
        self._retired: dict[asyncio.Task[None], ServedPool] = {}
        self._poller = RegistryPoller(registry, "resolve", _RESOLVE_SECONDS, uri=asdict(uri))

    @property
    def ready(self) -> bool:
        """Whether the model can answer requests."""
        return self.current is not None and self.current.ready

    def wake(self) -> None:
        """Poll the registry now instead of after the pause."""
        self._poller.wake()

    @property
    def problem(self) -> str:
        """The reason why the version that the registry names does not serve; empty when it does."""
        if self._read_error:
            return self._read_error
        if failure := self._failures.reason(self._wanted_identity):
            return failure
        if self.loading is not None:
            return self.loading.sentence
        return "" if self._wanted_identity else "The first version is being loaded."

    async def follow(self, interval: float) -> None:
        """Poll the registry every `interval` seconds, until this task is cancelled.

        Polls come sooner after a failure, and later while the registry is slow.
        """
        while True:
            pause = min(interval, _RETRY_SECONDS)
            try:
                await self.poll()
                pause = interval
            except ServingError as error:
                self._note_read_error(str(error))
            except Exception:
                _logger.exception(
                    "A poll of the registry failed, and is repeated.", extra={"model": self.name}
                )
            await self._poller.rest(pause)

    async def drain(self) -> None:
        """Cancel the load, and close every version pool after its running batches."""
        if self.current is not None:
            self.retire(self.current)
        await self._loads.cancel()
        await self.history.close()
        await asyncio.gather(*self._retired)

    async def close(self) -> None:
        """Close all version pools at once: no client is connected any more."""
        for pool in (*self._retired.values(), *filter(None, [self.current])):
            pool.stop_waiting()
        await self.drain()

    async def poll(self) -> None:
        """Ask the registry, and follow its answer.

        Raises:
            ServingError: The registry does not answer, or names no version that can serve.
        """
        try:
            resolved = ResolvedVersion.from_json(await self._poller.poll())
        except RegistryUnreachable as error:
            if self.current is None and self.loading is None:
                await self._start_from_cache(error)
            raise
        except VersionRefused:
            self._give_up()
            raise
        self.read_at = self._loop.time()
        self._read_error = ""
        self._metrics.set_alarms(self.name, resolved.alarms)
        self.apply(resolved)

    def apply(self, resolved: ResolvedVersion) -> None:
        """Load the version that the registry names if needed, and cancel any other load."""
        self._wanted_identity = identity = resolved.identity
        if self.current is not None and identity == self._state.identity:
            self.current.follow_retries(resolved)
        if not should_load(self._state, identity, resolved.revision):
            self._give_up()
        elif self.loading is None or self.loading.resolved.identity != identity:
            self._give_up()
            if self._failures.is_paused(identity, self._loop.time()):
                return
            self.loading = load = VersionLoad(self.name, resolved)
            self._failures.begin(identity)
            load.task = self._loads.start(self._load(load))
        else:
            self.loading.remind()

    def _give_up(self) -> None:
        if self.loading is not None:
            self.loading.give_up()
            self.loading = None
            self._metrics.swaps.labels(self.name, "given up").inc()

    async def _start_from_cache(self, error: RegistryUnreachable) -> None:
        cached = await self._registry.call("last_good", _RESOLVE_SECONDS, uri=self.uri.cache_key)
        if cached is None:
            raise RegistryUnreachable(
                f"{error} Of what served behind {self.uri.text}, nothing is in the cache."
            )
        _logger.warning(
            "The registry cannot be read; the version that served last is taken from the cache.",
            extra={"model": self.name, "version": cached["version"]},
        )
        self.apply(ResolvedVersion.from_json(cached))

    async def _load(self, load: VersionLoad) -> None:
        try:
            fresh = await self._make_pool(self.name, load.resolved)
            await self._start(fresh)
        except (VersionRefused, HostFailed) as error:
            self._refuse(load.resolved, error)
        except ServingError as error:
            self._note_failure(load.resolved, str(error), lasting=False)
        except Exception as error:
            _logger.exception("A load failed; it is tried again.", extra={"model": self.name})
            start, kind = sentence_start(load.resolved), type(error).__name__
            reason = f"{start} cannot be loaded now: {kind}: {error}"
            self._note_failure(load.resolved, reason, lasting=False)
        else:
            self._switch(fresh, load.resolved)
            self._log_served(fresh, load.seconds)
            self._loads.start(self._complete(fresh, load.resolved))
        finally:
            if self.loading is load:
                self.loading = None

    async def _start(self, fresh: ServedPool) -> None:
        await fresh.start(another_serves=self.current is not None)

    async def _complete(self, fresh: ServedPool, resolved: ResolvedVersion) -> None:
        """Wait until a version that its twin serves has its model, and record it in the cache."""
        try:
            await fresh.complete()
            if self.current is fresh:
                await self._registry.call(
                    "remember", _RESOLVE_SECONDS, uri=self.uri.cache_key, resolved=asdict(resolved)
                )
        except HostFailed as error:
            if self.current is fresh:
                self._refuse(resolved, error)
        except ServingError:
            _logger.exception(
                "The version that serves cannot be recorded in the cache.",
                extra={"model": self.name},
            )

    def _log_served(self, fresh: ServedPool, seconds: float) -> None:
        self._metrics.swaps.labels(self.name, "done").inc()
        self._metrics.swap_seconds.labels(self.name).observe(seconds)
        predictor = fresh.description["predictor"]
        _logger.info(
            "Serving.",
            extra={"model": self.name, "version": fresh.version, "predictor": predictor,
                   "seconds": round(seconds, 3)},
        )  # fmt: skip

    def _refuse(self, resolved: ResolvedVersion, error: Exception) -> None:
        """Stop serving a version that cannot be loaded, even if its twin answers already."""
        served, serving = self._state.identity, self.current
        if served == resolved.identity and serving is not None:
            served = ""
            self.retire(serving)
        self._state = ServingState(served, resolved.revision)
        self._metrics.swaps.labels(self.name, "failed").inc()
        self._note_failure(
            resolved, f"{sentence_start(resolved)} cannot serve: {error}", lasting=True
        )

    def _switch(self, fresh: ServedPool, resolved: ResolvedVersion) -> None:
        """Serve with `fresh` from now on, and note since when."""
        self.since = datetime.now(UTC)
        self._warn_of_other_inputs(fresh, resolved)
        self.history.invalidate()
        self._state = ServingState(resolved.identity)
        self._failures.clear()
        self.serve(fresh)

    def _warn_of_other_inputs(self, fresh: ServedPool, resolved: ResolvedVersion) -> None:
        """Note and log if requests that fitted the version pool that serves do not fit `fresh`."""
        self.warning = ""
        if self.current is None:
            return
        old, new = self.current.description, fresh.description
        if changes := input_changes(old.get("signature"), new.get("signature")):
            behind = [
                f" behind {', '.join(one.get('stages') or ['no stage'])}" for one in (old, new)
            ]
            was, now = behind if behind[0] != behind[1] else ("", "")
            self.warning = (
                f"{sentence_start(resolved)}{now} takes other inputs than version "
                f"{self.current.version}{was}, which served before: {changes}."
            )
            _logger.warning("%s", self.warning, extra={"model": self.name})

    def serve(self, fresh: ServedPool) -> None:
        """Serve with `fresh`, which takes the requests that waited for the old version pool."""
        old, self.current = self.current, fresh
        if old is not None:
            fresh.adopt(old.release())
            self.retire(old)

    def retire(self, old: ServedPool) -> None:
        """Close a version pool in the background, after its running batches."""
        if self.current is old:
            self.current = None
        task = asyncio.create_task(old.close(self._successor))
        self._retired[task] = old
        task.add_done_callback(lambda _: self._retired.pop(task))

    def _successor(self) -> ServedPool | None:
        """The version pool that takes over what a closed one leaves."""
        return self.current

    def _note_read_error(self, reason: str) -> None:
        if reason != self._read_error:
            _logger.error("%s", reason, extra={"model": self.name})
        self._read_error = reason

    def _note_failure(self, resolved: ResolvedVersion, reason: str, *, lasting: bool) -> None:
        if not lasting:
            self._failures.pause(resolved.identity, self._loop.time() + _RETRY_SECONDS)
            self._loop.call_later(_RETRY_SECONDS, self.wake)
        if self._failures.note(resolved.identity, reason, lasting=lasting):
            _logger.error("%s", reason, extra={"model": self.name})

    def describe(self) -> dict[str, Any]:
        """The entry of the model in `/readyz`."""
        description = self.current.description if self.current else {}
        stages = {"stages": description["stages"]} if "stages" in description else {}
        return {
            "uri": self.uri.text,
            "ready": self.ready,
            "version": self.current.version if self.current else None,
            **stages,
            "predictor": description.get("predictor"),
            "loading": self.loading.describe() if self.loading else None,
            "problem": self.problem or None,
            "warning": self.warning or None,
        }
