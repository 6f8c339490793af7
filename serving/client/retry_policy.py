"""The retry policy: exponential backoff with full jitter, never sooner than `Retry-After`.

The policy is pure. A prediction changes nothing on the server, so a repeated request is safe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

TEMPORARY_FAILURES = frozenset({429, 502, 503})  # statuses of temporary failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """The number of attempts, and the pauses between them.

    Attributes:
        attempts: The most attempts; 1 for no retries.
        first: The longest first pause in seconds; the limit doubles with each attempt.
        longest: The limit of a pause in seconds, before the seconds of `Retry-After` are added.
    """

    attempts: int = 4
    first: float = 0.1
    longest: float = 10.0

    def pause(self, attempt: int, retry_after: float | None, jitter: float) -> float | None:
        """Return the seconds to wait after an attempt; None after the last one.

        Args:
            attempt: The number of the attempt, from 1.
            retry_after: The seconds that the server asks the client to wait; None if it does not.
            jitter: A new random number from 0 to 1, so that clients do not retry all at once.
        """
        if attempt >= self.attempts:
            return None
        return (retry_after or 0.0) + jitter * min(self.longest, self.first * 2.0 ** (attempt - 1))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds in the `Retry-After` header, which is a number or a date; None without."""
    text = headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # absent or malformed
        return None
