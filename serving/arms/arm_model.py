"""What a canary and a shadow have in common: a version beside production, behind an alias."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from cloche.serving.dispatch.poll_policy import ServingState
from cloche.serving.dispatch.served_model import MakeVersionPool, ServedModel
from cloche.serving.dispatch.served_pool import ServedPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.queue.prediction_request import STOPPED, PredictionRequest
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import with_alias


class ArmModel(ServedModel, ABC):
    """A version beside that of a served model, which polls the registry for it.

    Attributes:
        arm: The name of the arm, and the alias that it follows.
        percent_tag: The tag of the version that gives its share, in percent.
        most_percent: The greatest share.
        target: The version that the alias names; None if it names none that may serve.
        percent: The share of the version.
    """

    arm: ClassVar[str]
    percent_tag: ClassVar[str]
    default_percent: ClassVar[float]
    most_percent: ClassVar[float]

    def __init__(
        self, production: ServedModel, registry: Registry, metrics: Metrics, *,
        make: MakeVersionPool, changed: Callable[[], None],
    ) -> None:  # fmt: skip
        """Have no version yet; `changed` is called when `arms` has changed."""
        uri = replace(with_alias(production.uri.model, self.arm), name=production.name)
        super().__init__(uri, registry, metrics, make=make)
        self.history = production.history
        self._production = production
        self._changed = changed
        self.target: ResolvedVersion | None = None
        self.percent = self.default_percent
        self._percent_problem = ""

    def wake(self) -> None:
        """Poll the registry now instead of after the pause."""
        self._production.wake()

    @property
    def problem(self) -> str:
        """The reason why the arm takes no requests; empty when it does."""
        return super().problem or self._percent_problem

    def follow_target(self, target: ResolvedVersion | None) -> None:
        """Take requests by the version that the alias names now; None if it names none."""
        if target is None or target.identity != self._wanted_identity:
            self.end()
        self.target = target
        if target is None:
            return
        self.percent, self._percent_problem = self._read_percent(self.percent_of(target))
        if target.problem:
            self._give_up()
            self._note_read_error(target.problem)
        else:
            self._read_error = ""
            self.apply(target)

    @abstractmethod
    def percent_of(self, target: ResolvedVersion) -> str:
        """The tag of a version that gives its share; empty without one."""

    @abstractmethod
    def end_arms(self) -> None:
        """Take no further requests."""

    def end(self) -> None:
        """Take no further requests, and close the version pool after its running batches."""
        self._give_up()
        if self.current is not None:
            self.retire(self.current)
        self.target, self._wanted_identity, self._state = None, "", ServingState()

    def retire(self, old: ServedPool) -> None:
        """Take no further requests, and close a version pool after its running batches."""
        self.end_arms()
        self._give_back(old.release())
        super().retire(old)

    def describe(self) -> dict[str, Any]:
        """The entry of the arm in `/readyz`."""
        version = self.target.version if self.target is not None else None
        described = super().describe()
        return {
            "version": version,
            "percent": self.percent,
            **{key: described[key] for key in ("ready", "loading", "problem")},
        }

    def _give_back(self, requests: Sequence[PredictionRequest]) -> None:
        """Have production answer what clients wait for."""
        for request in requests:
            if request.unwanted():
                continue
            if self._production.current is not None:
                self._production.current.adopt([request])
            else:
                request.end(STOPPED)

    @property
    def _another_serves(self) -> bool:
        return True  # production

    def _successor(self) -> ServedPool | None:
        return self._production.current

    def _read_percent(self, tag: str) -> tuple[float, str]:
        """The share that a tag gives, and what is wrong with the tag; empty for nothing."""
        try:
            percent = float(tag or self.default_percent)
        except ValueError:
            percent = math.nan
        if 0 <= percent <= self.most_percent:
            return percent, ""
        return 0.0, (
            f"Its tag {self.percent_tag} is {tag!r}, and the share of a {self.arm} is a number "
            f"from 0 to {self.most_percent:g}. It gets no requests until the tag is one."
        )
