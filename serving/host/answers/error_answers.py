"""What a host says when it cannot score a request.

The code that MLflow gives, and a message without values or traces.

MLflow's own messages quote the payload and carry stack traces; the ones here name the field, the
row and the type.
"""

from collections.abc import Sequence
from typing import Any

from cloche.serving.host.answers.mistake import plain_name, type_name

BAD_REQUEST = "BAD_REQUEST"
INTERNAL_ERROR = "INTERNAL_ERROR"


class RequestRefused(Exception):
    """A request that cannot be scored. The message may be shown to whoever sent it.

    Attributes:
        status: The HTTP status of the answer.
        code: MLflow's error code.
        columns: The names of the columns that the message is about.
        row: The position of the row that it is about, from 0; None where it is about none.
        expected: The plain type of the column; empty where the message is about none.
    """

    def __init__(
        self, message: str, *, status: int = 400, code: str = BAD_REQUEST,
        columns: Sequence[str] = (), row: int | None = None, expected: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.code = code
        self.columns = columns
        self.row = row
        self.expected = expected


class Unfit(RequestRefused):
    """A cell that is no value of its column.

    Attributes:
        reason: The same without the row, which only a request has.
    """

    def __init__(self, name: Any, row: int, kind: Any, found: str) -> None:
        """Take the column's name, the row, the type of the column, and the kind of the cell."""
        self.reason = f"column {name!r}: expected {kind!r}"
        subject = "Row" if name is None else f"Column {name!r}, row"
        super().__init__(
            f"{subject} {row}: expected {type_name(kind)}, found {found}.",
            columns=() if name is None else (str(name),), row=row, expected=plain_name(kind),
        )  # fmt: skip


class UnsupportedMediaType(Exception):
    """A content type that is not taken; answered as plain text, as MLflow does."""
