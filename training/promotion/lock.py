"""One promotion at a time for each registered model, on a registry without compare-and-swap.

Each promotion writes its own lease: a tag of the registered model, under a key that no other
promotion writes. Then it reads the leases of all. A promotion that finds no other may proceed. Two
cannot both proceed: if both wrote before they read, the one that wrote later reads both leases.
This does not depend on clocks, provided that a read that begins after a write was confirmed sees
that write, which every store of MLflow guarantees.

Of the promotions that find other leases, the one with the smallest token waits until they are gone,
and all others withdraw; so one of many simultaneous promotions proceeds. This is the idea of
Lamport's bakery algorithm (1974): each writer has a register of its own, and conflicts are resolved
by a fixed order.

Leases expire, so that a promotion that died does not block others for long. A holder therefore
writes only in the first half of its lease; the second half allows for clocks that differ.
"""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.registry.lease import Lease, blocking_lease
from cloche.training.errors import LockHeld, RegistryError
from cloche.training.names import LOCK
from cloche.training.promotion.registry import RegisteredModel, find_model

LEASE = timedelta(seconds=60)
_HELD_SECONDS = LEASE.total_seconds() / 2
_LONGEST_WAIT_SECONDS = 10.0  # longest wait for other promotions
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Clock:
    """The functions with which the lock reads the time and sleeps."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    elapsed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Lock:
    """The lock, while it is held.

    Attributes:
        model: The registered model, read while the lock was held.
        until: End of the time for writing, on the clock of elapsed seconds.
        clock: The clock.
    """

    model: RegisteredModel
    until: float
    clock: Clock

    def check(self) -> None:
        """Check that the lock is still held; to be called before the write that matters.

        Raises:
            RegistryError: The registry took so long that another promotion may hold the lock.
        """
        if self.clock.elapsed() > self.until:
            raise RegistryError(
                f"the registry took more than {_HELD_SECONDS:g} s to answer, too long to change "
                f"{self.model.name} safely; look at `cloche status {shlex.quote(self.model.name)}` "
                "and run the command again"
            )


@contextmanager
def promotion_lock(client: MlflowClient, model: str, holder: str, clock: Clock) -> Iterator[Lock]:
    """Hold the lock on the aliases of `model` as long as the context lasts.

    Raises:
        LockHeld: Another promotion holds the lock.
    """
    started, now = clock.elapsed(), clock.now()
    lease = Lease(uuid4().hex, holder, now, now + LEASE)
    key = f"{LOCK}.{lease.token}"
    released_keys = [key]
    try:
        client.set_registered_model_tag(model, key, lease.to_text())
        found = _alone(client, model, lease, clock)
        released_keys += _leases(found).keys() - {key}  # expired leases of promotions that died
        yield Lock(found, started + _HELD_SECONDS, clock)
    finally:
        for each in released_keys:
            with suppress(MlflowException):
                client.delete_registered_model_tag(model, each)


def _alone(client: MlflowClient, model: str, own: Lease, clock: Clock) -> RegisteredModel:
    """Wait until no other promotion has a lease, and return the state of the model then.

    Raises:
        LockHeld: Another promotion has precedence, or still holds its lease after the wait.
    """
    waited = 0.0
    while True:
        found, now = find_model(client, model), clock.now()
        leases = _leases(found).values()
        others = [one for lease in leases if (one := blocking_lease(lease, own.token, now))]
        if not others:
            return found
        if waited >= _LONGEST_WAIT_SECONDS or any(other.token < own.token for other in others):
            raise _taken(model, min(others, key=lambda other: other.since), now)
        clock.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS


def _leases(model: RegisteredModel) -> dict[str, Lease | None]:
    """Return all leases of the model, by the keys of their tags."""
    return {
        key: Lease.from_text(text) for key, text in model.tags.items() if key.startswith(f"{LOCK}.")
    }


def _taken(model: str, other: Lease, now: datetime) -> LockHeld:
    return LockHeld(
        f"{other.holder} is promoting {model} since {other.since:%H:%M:%S} UTC "
        f"({(now - other.since).total_seconds():.0f} s ago); run the command again when that is "
        f"done. A promotion that died lapses at {other.until:%H:%M:%S} UTC"
    )
