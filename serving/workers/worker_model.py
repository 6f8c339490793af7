"""The models of a worker, whose versions and canaries its parent chooses."""

from collections.abc import Callable, Iterator
from typing import Any, cast

from cloche.rollout.plan import parse_plan
from cloche.serving.arms.arms import Arms
from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.dispatch.served_pool import RequestPool, ServedPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.client import Registry
from cloche.serving.registry.uri import ModelUri
from cloche.serving.workers.counts_for_parent import CountsForParent


class WorkerModel(ServedModel):
    """A model of a worker."""

    arms: Arms | None

    def __init__(
        self, uri: ModelUri, registry: Registry, metrics: Metrics, *, report: Callable[..., None]
    ) -> None:
        """Serve nothing yet; `report` tells the parent what is counted of both arms."""
        super().__init__(uri, registry, metrics, make=_by_the_parent)
        self._report = report
        self._counts: CountsForParent | None = None  # while there is a canary

    @property
    def canary(self) -> RequestPool | None:
        """The version pool of the canary that takes requests; None while none does."""
        return self.arms.pool if self.arms is not None else None

    async def follow(self, interval: float) -> None:
        """Do nothing: the parent polls the registry."""

    def serve(self, fresh: ServedPool) -> None:
        """Serve with `fresh`, which may have been the canary."""
        if fresh is self.canary:
            self._end_arms()
        super().serve(fresh)

    def share_with(self, pool: RequestPool, percent: float, counting: str, plan: str) -> None:
        """Give a canary its share of the requests.

        Args:
            pool: The version pool of the canary.
            percent: The share of the callers whose requests it answers.
            counting: The name of what is counted; another name begins anew.
            plan: The plan of the rollout, as JSON.
        """
        if self.arms is not None and self._counts is not None and self._counts.name == counting:
            self.arms.percent = percent
            return
        self._end_arms()
        self._counts = CountsForParent(counting, parse_plan(plan), self._report)
        self.arms = Arms(
            self.uri.model, pool, percent, self._counts, self._metrics,
            production=lambda: self.current, abort=lambda _: None,  # the parent judges
        )  # fmt: skip

    def retire(self, old: ServedPool) -> None:
        """Close a version pool in the background, after its running batches."""
        if self.arms is not None and old is self.canary:
            arms = self.arms
            self._end_arms()
            arms.give_back()
        super().retire(old)

    def _end_arms(self) -> None:
        if self._counts is not None:
            self._counts.flush()
        self.arms = self._counts = None

    async def drain(self) -> None:
        """Close every version pool after its running batches."""
        if self.canary is not None:
            self.retire(self.canary)
        await super().drain()


async def _by_the_parent(*_: Any) -> ServedPool:
    raise NotImplementedError


class WorkerModels(ServedModels):
    """The models of a worker."""

    def __init__(self, make: Callable[[ModelUri], WorkerModel], wake: Callable[[], None]) -> None:
        super().__init__(make, 0.0)
        self._wake_parent = wake

    def __iter__(self) -> Iterator[WorkerModel]:
        return cast("Iterator[WorkerModel]", super().__iter__())

    def get(self, name: str) -> WorkerModel | None:
        """The model that is served under `name`; None if there is none."""
        return cast("WorkerModel | None", super().get(name))

    def wake(self) -> None:
        """Have the parent poll the registry now."""
        self._wake_parent()
