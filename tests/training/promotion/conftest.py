"""Time that passes only when told to, a gate in this process, and versions that passed it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cloche.serving.host import serving_check
from cloche.training.gate import model_probe, probe_process
from cloche.training.names import DIGEST, GATE, GATE_RUN, PROMOTED_AT
from cloche.training.promotion.lock import Clock

WELL = probe_process.Exit(0, "", "", in_current_environment=True)


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
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Callable[..., probe_process.Exit]:
    """The gate looks at models in this process, which takes no time to start."""

    def run(_: object, folder: Path, *__: object, **___: object) -> probe_process.Exit:
        with warnings.catch_warnings(action="ignore"):
            model_probe.main(folder, serving_check)
        return WELL

    monkeypatch.setattr(probe_process, "run_module", run)
    return run


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
