"""The note that says who is changing a registered model: text, and the rule of who may write it."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Self


@dataclass(frozen=True)
class Lease:
    """Somebody's claim to be the only one who moves a model's aliases.

    Attributes:
        token: tells this claim from every other one.
        holder: who it is, for people.
        since: when it was made.
        until: when it lapses if the holder does not come back.
    """

    token: str
    holder: str
    since: datetime
    until: datetime

    def to_text(self) -> str:
        """What the registry stores."""
        times = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        return json.dumps({**asdict(self), **times})

    @classmethod
    def from_text(cls, text: str | None) -> Self | None:
        """Read a claim; what cannot be read claims nothing."""
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


def in_the_way(found: Lease | None, token: str, now: datetime) -> Lease | None:
    """The claim that keeps the owner of `token` from writing; None where nothing does."""
    if found is None or found.token == token or found.until <= now:
        return None
    return found
