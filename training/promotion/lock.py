"""One promotion at a time for each registered model, on a registry that cannot compare and swap.

Each promotion writes a claim: a tag of the registered model, under a key that nobody else writes.
Then it reads the claims of all. Who finds no other one holds the lock. Two cannot: of two who wrote
before they read, the one that wrote later reads both claims. Time decides nothing here, as long as
a read that begins after a write was answered sees it, which every store of MLflow gives.

Of those who find others, the one with the smallest token waits until they are gone, and the rest
withdraw; so one of many who ask at once gets the lock. (The idea is that of Lamport's bakery
algorithm, 1974: registers with one writer each, and an order among those who meet.)

Claims lapse, so that a promotion that died blocks nobody for long. A holder therefore writes only
in the first half of its lease; the other half is room for clocks that differ.
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

from cloche.training.errors import RegistryError
from cloche.training.names import LOCK
from cloche.training.promotion.lease import Lease, in_the_way
from cloche.training.promotion.registry import RegisteredModel, find_model

LEASE = timedelta(seconds=60)
_HELD_SECONDS = LEASE.total_seconds() / 2
_OTHERS_SECONDS = 10.0  # how long others are waited for
_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Clock:
    """What the lock knows of time."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    elapsed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Held:
    """The lock, while it is held.

    Attributes:
        model: the registered model, read when the lock was held.
        until: when writing has to end, on the clock of elapsed seconds.
        clock: the time.
    """

    model: RegisteredModel
    until: float
    clock: Clock

    def check(self) -> None:
        """Make sure that the lock is held still; to be called before the write that matters.

        Raises:
            RegistryError: the registry took so long that somebody else may hold it.
        """
        if self.clock.elapsed() > self.until:
            raise RegistryError(
                f"the registry took more than {_HELD_SECONDS:g} s to answer, too long to change "
                f"{self.model.name} safely; look at `cloche status {shlex.quote(self.model.name)}` "
                "and run the command again"
            )


@contextmanager
def promotion_lock(client: MlflowClient, model: str, holder: str, clock: Clock) -> Iterator[Held]:
    """Be the only one who moves the aliases of `model`.

    Args:
        client: of the registry.
        model: name of the registered model.
        holder: who asks, for the message that others get.
        clock: the time.

    Raises:
        RegistryError: somebody else holds the lock.
    """
    started, now = clock.elapsed(), clock.now()
    lease = Lease(uuid4().hex, holder, now, now + LEASE)
    key = f"{LOCK}.{lease.token}"
    over = [key]
    try:
        client.set_registered_model_tag(model, key, lease.to_text())
        found = _alone(client, model, lease, clock)
        over += _claims(found).keys() - {key}  # of promotions that died
        yield Held(found, started + _HELD_SECONDS, clock)
    finally:
        for each in over:
            with suppress(MlflowException):
                client.delete_registered_model_tag(model, each)


def _alone(client: MlflowClient, model: str, own: Lease, clock: Clock) -> RegisteredModel:
    """The model as it is once nobody else has a claim.

    Raises:
        RegistryError: somebody else has one, who goes first or does not go.
    """
    waited = 0.0
    while True:
        found, now = find_model(client, model), clock.now()
        claims = _claims(found).values()
        others = [one for claim in claims if (one := in_the_way(claim, own.token, now))]
        if not others:
            return found
        if waited >= _OTHERS_SECONDS or any(other.token < own.token for other in others):
            raise _taken(model, min(others, key=lambda other: other.since), now)
        clock.sleep(_AGAIN_SECONDS)
        waited += _AGAIN_SECONDS


def _claims(model: RegisteredModel) -> dict[str, Lease | None]:
    """All claims, by the keys of their tags."""
    return {
        key: Lease.from_text(text) for key, text in model.tags.items() if key.startswith(f"{LOCK}.")
    }


def _taken(model: str, other: Lease, now: datetime) -> RegistryError:
    return RegistryError(
        f"{other.holder} is promoting {model} since {other.since:%H:%M:%S} UTC "
        f"({(now - other.since).total_seconds():.0f} s ago); run the command again when that is "
        f"done. A promotion that died lapses at {other.until:%H:%M:%S} UTC"
    )
