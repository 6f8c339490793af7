"""One promotion at a time for each registered model, on a registry that cannot compare and swap.

Fischer's timed mutual exclusion (Lamport, A Fast Mutual Exclusion Algorithm, 1987, section 2) on a
tag of the registered model: read it; if nobody claims it, write a claim; wait longer than anybody
may take between that reading and that writing; read again, and own the lock if the claim is still
one's own. Whoever takes longer than allowed between reading and writing withdraws, because somebody
else may have finished waiting meanwhile. Claims lapse, so that a holder that died blocks nobody for
long; clocks of different machines may therefore differ by less than the time of a lease.
"""

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

LEASE = timedelta(seconds=60)
# MLflow's basic authentication hashes the password anew for each request, half a second of CPU: a
# reading and a writing took 1.0 to 1.8 s on a server that had nothing else to do.
_MOST_SECONDS_TO_WRITE = 3.0
SETTLE_SECONDS = _MOST_SECONDS_TO_WRITE + 1.0


@dataclass(frozen=True)
class Clock:
    """What the lock knows of time."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    elapsed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@contextmanager
def promotion_lock(
    client: MlflowClient, model: str, holder: str, clock: Clock
) -> Iterator[Callable[[], None]]:
    """Be the only one who moves the aliases of `model`.

    Args:
        client: of the registry.
        model: name of the registered model.
        holder: who asks, for the message that others get.
        clock: the time.

    Yields:
        A check to call before the write that matters: it raises if the lock was lost.

    Raises:
        RegistryError: somebody else holds the lock, or the registry answers too slowly for one.
    """
    token = _claim(client, model, holder, clock)
    clock.sleep(SETTLE_SECONDS)

    def check() -> None:
        found = _read(client, model)
        if found is None or found.token != token or found.until <= clock.now():
            raise RegistryError(
                f"{_who(found)} took over the promotion of {model}; look at `cloche status "
                f"{model}` and run the command again"
            )

    try:
        check()
        yield check
    finally:
        with suppress(MlflowException):
            _release(client, model, token)


def _claim(client: MlflowClient, model: str, holder: str, clock: Clock) -> str:
    token, started, now = uuid4().hex, clock.elapsed(), clock.now()
    _refuse_if_taken(client, model, token, now)
    lease = Lease(token, holder, now, now + LEASE)
    try:
        client.set_registered_model_tag(model, LOCK, lease.to_text())
    except MlflowException:
        # Some stores fail the later one of two who write a new tag at the same moment.
        _refuse_if_taken(client, model, token, clock.now())
        raise
    took = clock.elapsed() - started
    if took > _MOST_SECONDS_TO_WRITE:
        raise RegistryError(
            f"the registry took {took:.1f} s to answer, too long to promote safely (at most "
            f"{_MOST_SECONDS_TO_WRITE:g} s); run the command again in a minute"
        )
    return token


def _refuse_if_taken(client: MlflowClient, model: str, token: str, now: datetime) -> None:
    other = in_the_way(_read(client, model), token, now)
    if other is not None:
        seconds = (now - other.since).total_seconds()
        raise RegistryError(
            f"{other.holder} is promoting {model} since {other.since:%H:%M:%S} UTC "
            f"({seconds:.0f} s ago); run the command again when that is done. A promotion that "
            f"died lapses at {other.until:%H:%M:%S} UTC"
        )


def _release(client: MlflowClient, model: str, token: str) -> None:
    found = _read(client, model)
    if found is not None and found.token == token:
        client.delete_registered_model_tag(model, LOCK)


def _read(client: MlflowClient, model: str) -> Lease | None:
    return Lease.from_text(client.get_registered_model(model).tags.get(LOCK))


def _who(found: Lease | None) -> str:
    return "somebody" if found is None else found.holder
