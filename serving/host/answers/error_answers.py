"""The errors with which a host answers a request that it cannot score.

They have MLflow's error code, and a message that names the field, the row and the type. MLflow's
own messages quote the payload and contain stack traces; these have neither.
"""

from collections.abc import Sequence
from typing import Any

from cloche.serving.host.answers.mistake import plain_name, type_name

BAD_REQUEST = "BAD_REQUEST"
INTERNAL_ERROR = "INTERNAL_ERROR"


class RequestRefused(Exception):
    """A request that cannot be scored. The message may be shown to the client.

    Attributes:
        status: The HTTP status of the answer.
        code: MLflow's error code.
        columns: The names of the columns that the message is about.
        row: The position of the row that the message is about, from 0; None for no row.
        expected: The plain type of the column that the message is about; empty for no column.
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


class InvalidCell(RequestRefused):
    """A cell that is no value of its column's type.

    Attributes:
        reason: The mistake without the row, which batch jobs report separately.
    """

    def __init__(self, name: Any, row: int, kind: Any, found: str) -> None:
        self.reason = f"column {name!r}: expected {kind!r}"
        subject = "Row" if name is None else f"Column {name!r}, row"
        super().__init__(
            f"{subject} {row}: expected {type_name(kind)}, found {found}.",
            columns=() if name is None else (str(name),), row=row, expected=plain_name(kind),
        )  # fmt: skip


class UnsupportedMediaType(Exception):
    """A content type that is not supported; answered in plain text, as MLflow does."""

    status = 415
