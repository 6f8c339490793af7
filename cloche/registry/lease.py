"""A lease as the registry stores it in a tag, and the rule that says who must wait.

A promotion has one on the aliases of a model, and whoever drives a rollout has one on its version.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Self


@dataclass(frozen=True)
class Lease:
    """A lease, which lets its holder alone write something until it expires.

    Attributes:
        token: Unique identifier of this lease.
        holder: Name of the holder, for people.
        since: Time when the lease was taken.
        until: Time when the lease expires if the holder does not release it.
    """

    token: str
    holder: str
    since: datetime
    until: datetime

    def to_text(self) -> str:
        """Return the text that the registry stores."""
        times = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        return json.dumps({**asdict(self), **times})

    @classmethod
    def from_text(cls, text: str | None) -> Self | None:
        """Read a lease; an unreadable text is none."""
        try:
            found = json.loads(text or "")
            return cls(
                str(found["token"]),
                str(found["holder"]),
                datetime.fromisoformat(found["since"]),
                datetime.fromisoformat(found["until"]),
            )
        except (ValueError, KeyError, TypeError):
            return None


def blocking_lease(found: Lease | None, token: str, now: datetime) -> Lease | None:
    """Return the lease if it keeps the owner of `token` from writing; None if it does not."""
    if found is None or found.token == token or found.until <= now:
        return None
    return found
