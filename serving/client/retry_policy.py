"""When to ask again: exponential backoff with full jitter, never sooner than the server says.

Pure. Predictions change nothing, so asking twice is safe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

PASSING = frozenset({429, 502, 503})  # answers that may be others in a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often to ask, and how long to wait in between.

    Attributes:
        attempts: How often at most; 1 never asks again.
        first: Seconds of the longest first wait; it doubles with each.
        longest: Seconds that a wait never exceeds, but for what the server asks.
    """

    attempts: int = 4
    first: float = 0.1
    longest: float = 10.0

    def pause(self, attempt: int, retry_after: float | None, chance: float) -> float | None:
        """Seconds to wait after attempt number `attempt`; None when it was the last.

        Args:
            attempt: From 1.
            retry_after: Seconds that the server asks to wait; None when it asks for none.
            chance: From 0 to 1, drawn anew each time, so that clients do not come back together.
        """
        if attempt >= self.attempts:
            return None
        return (retry_after or 0.0) + chance * min(self.longest, self.first * 2.0 ** (attempt - 1))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a server asks to wait, which it may write as a number or as a date."""
    text = headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # none, or one that cannot be read
        return None
