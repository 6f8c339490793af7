"""What a host says when it cannot score a request.

The code that MLflow gives, and a message without values or traces.

MLflow's own messages quote the payload and carry stack traces; the ones here name the field, the
row and the type.
"""

from typing import Any

BAD_REQUEST = "BAD_REQUEST"
INTERNAL_ERROR = "INTERNAL_ERROR"


class RequestRefused(Exception):
    """A request that cannot be scored. The message may be shown to whoever sent it."""

    def __init__(self, message: str, *, status: int = 400, code: str = BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Unfit(RequestRefused):
    """A cell that is no value of its column.

    Attributes:
        reason: The same without the row, which only a request has.
    """

    def __init__(self, name: Any, row: int, kind: Any) -> None:
        self.reason = f"column {name!r}: expected {kind!r}"
        super().__init__(f"Column {name!r}, row {row}: expected {kind!r}.")


class UnsupportedMediaType(Exception):
    """A content type that is not taken; answered as plain text, as MLflow does."""
