"""Time that passes only when told to, and versions that passed the gate already."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient

from cloche.training.names import DIGEST, GATE, GATE_RUN, PROMOTED_AT
from cloche.training.promotion.lock import Clock


@dataclass
class Hands:
    """The hands of a clock: `sleep` moves them at once, and whoever likes moves them further."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 12, 0, tzinfo=UTC))

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.moment += timedelta(seconds=seconds)

    @property
    def clock(self) -> Clock:
        """The clock that shows them."""
        return Clock(self._now, self._elapsed, self.move)

    def _now(self) -> datetime:
        return self.moment

    def _elapsed(self) -> float:
        return self.moment.timestamp()


@pytest.fixture
def hands() -> Hands:
    """A clock under the test's control."""
    return Hands()


@pytest.fixture
def mark_promoted(client: MlflowClient) -> Callable[..., None]:
    """(version, alias) → tags and aliases as a promotion leaves them."""

    def mark(version: str, *aliases: str, model: str = "flight-delay") -> None:
        for key, value in {
            GATE: "passed",
            GATE_RUN: "0" * 32,
            DIGEST: "d" * 64,
            PROMOTED_AT: "2026-01-01T00:00:00+00:00",
        }.items():
            client.set_model_version_tag(model, version, key, value)
        for alias in aliases:
            client.set_registered_model_alias(model, alias, version)

    return mark
