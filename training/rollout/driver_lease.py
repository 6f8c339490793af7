"""The lease that lets one driver alone walk a rollout, and one of two that start wait or leave."""

import shlex
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from cloche.registry.lease import Lease, blocking_lease
from cloche.training.errors import RegistryError
from cloche.training.promotion.lock import Clock
from cloche.training.rollout.rollout_state import RolloutState
from cloche.training.rollout.writes import RolloutWrites

LEASE = timedelta(seconds=60)  # after which another driver goes on for one that died
_RENEWAL = LEASE / 2
_POLL_SECONDS = 2.0


class DriverLease:
    """The lease of this driver."""

    def __init__(self, holder: str, clock: Clock) -> None:
        now = clock.now()
        self._clock = clock
        self._lease = Lease(uuid4().hex, holder, now, now)

    def blocked_by(self, state: RolloutState) -> Lease | None:
        """Return the lease of another driver, if it has not expired."""
        return blocking_lease(state.lease, self._lease.token, self._clock.now())

    def take(self, writes: RolloutWrites) -> None:
        """Write the lease, or prolong it."""
        self._lease = replace(self._lease, until=self._clock.now() + LEASE)
        writes.set_lease(self._lease)

    def keep(self, state: RolloutState, writes: RolloutWrites) -> None:
        """Prolong the lease in time.

        Raises:
            RegistryError: Another driver has taken over, because this one was silent for too long.
        """
        if state.lease is not None and state.lease.token != self._lease.token:
            raise _driven(state, state.lease)
        if self._lease.until - self._clock.now() < _RENEWAL:
            self.take(writes)

    def release(self, writes: RolloutWrites) -> None:
        """Remove the lease, unless another driver has taken over."""
        lease = writes.read().lease
        if lease is not None and lease.token == self._lease.token:
            writes.remove_lease()

    def wait_for(self, other: Lease, writes: RolloutWrites) -> None:
        """Wait until another driver's lease has expired or is gone.

        Raises:
            RegistryError: The other driver prolongs its lease, so it is alive.
        """
        state = writes.read()
        while (found := self.blocked_by(state)) is not None:
            if (found.token, found.until) != (other.token, other.until):
                raise _driven(state, found)
            self._clock.sleep(_POLL_SECONDS)
            state = writes.read()


def _driven(state: RolloutState, lease: Lease) -> RegistryError:
    model = shlex.quote(state.model.name)
    return RegistryError(
        f"{lease.holder} drives the rollout of {state.label} since {lease.since:%H:%M:%S} UTC; "
        f"`cloche rollout status {model}` shows it, `cloche rollout pause {model}` stops it"
    )
