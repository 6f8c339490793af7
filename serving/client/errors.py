"""Everything that asking for predictions can end with, under one base class.

ClientError
├── Unreachable       no server answers at the address
├── DeadlineExceeded  there was no answer in time
├── AnswerTooLarge    the answer has more bytes than the client takes
└── Refused           the server answered, and gave no predictions
    ├── RowsRefused      the rows do not fit the model; it names the columns and the row
    ├── Unauthenticated  no API key, or a wrong one
    ├── NotServed        there is no such model or version
    ├── Overloaded       too many requests wait, or no replica is there, after all attempts
    └── ServerFailed     anything else that is the server's fault
"""

import json
from typing import Any


class ClientError(Exception):
    """Base class of everything that a client raises for what happened on the way."""


class Unreachable(ClientError):
    """No server answers at the address."""


class DeadlineExceeded(ClientError):
    """There was no answer in time."""


class AnswerTooLarge(ClientError):
    """The answer has more bytes than the client takes."""


class Refused(ClientError):
    """The server answered, and gave no predictions.

    Attributes:
        status: The HTTP status.
        code: The server's error code; empty when it gave none.
        request_id: What the server's log knows the request by.
    """

    def __init__(self, message: str, *, status: int, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id


class RowsRefused(Refused):
    """The rows do not fit the model.

    Attributes:
        columns: The columns that are wrong or missing; empty where the server names none.
        row: The position of the row that is wrong, from 0; None where the server names none.
    """

    columns: tuple[str, ...] = ()
    row: int | None = None


class Unauthenticated(Refused):
    """No API key, or a wrong one."""


class NotServed(Refused):
    """The server does not serve such a model or version."""


class Overloaded(Refused):
    """Too many requests wait already, or no replica can answer now.

    Attributes:
        retry_after: Seconds after which the server asks to come back; None where it does not.
    """

    retry_after: float | None = None


class ServerFailed(Refused):
    """The server failed on the request; its log says why."""


_BY_STATUS: dict[int, type[Refused]] = {
    400: RowsRefused,
    401: Unauthenticated,
    403: Unauthenticated,
    404: NotServed,
    429: Overloaded,
    502: Overloaded,
    503: Overloaded,
}


def refusal(
    status: int, body: bytes | bytearray, request_id: str, retry_after: float | None
) -> Refused:
    """The error that an answer without predictions stands for."""
    told = _error_fields(body)
    message = str(told["message"])
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else Refused)
    error = kind(
        message or f"HTTP status {status}.",
        status=status,
        code=str(told.get("error_code", "")),
        request_id=request_id,
    )
    if isinstance(error, Overloaded):
        error.retry_after = retry_after
    if isinstance(error, RowsRefused):
        error.columns, error.row = tuple(map(str, told.get("columns", ()))), told.get("row")
    return error


def _error_fields(body: bytes | bytearray) -> dict[str, Any]:
    """The fields of an error; a proxy on the way may speak otherwise."""
    try:
        found: dict[str, Any] = json.loads(body)
        return found | {"message": found["message"]}
    except (ValueError, TypeError, KeyError):
        return {"message": body[:300].decode(errors="replace").strip()}
