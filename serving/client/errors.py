"""The exceptions of the client, under one base class.

ClientError
├── Unreachable       no server answers at the address
├── DeadlineExceeded  there was no response in time
├── AnswerTooLarge    the response has more bytes than `max_answer`
└── Refused           the server answered with an error
    ├── RowsRefused      the rows do not fit the model; it names the columns and the row
    ├── Unauthenticated  the API key is missing or wrong
    ├── NotServed        the server has no such model or version
    ├── Overloaded       too many requests wait, or no replica is ready, after all attempts
    └── ServerFailed     any other failure of the server
"""

import json
from typing import Any


class ClientError(Exception):
    """Base class of the errors of a request."""


class Unreachable(ClientError):
    """No server answers at the address."""


class DeadlineExceeded(ClientError):
    """There was no response within the client's timeout, or the server answered 504."""


class AnswerTooLarge(ClientError):
    """The response has more bytes than `max_answer`."""


class Refused(ClientError):
    """The server answered with an error.

    Attributes:
        status: The HTTP status.
        code: The error code in the response; empty if it has none.
        request_id: The id of the request in the server's log.
    """

    def __init__(self, message: str, *, status: int, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id


class RowsRefused(Refused):
    """The rows do not fit the model.

    Attributes:
        columns: The columns that are wrong or missing; empty if the server names none.
        row: The position of the wrong row, from 0; None if the server names none.
    """

    columns: tuple[str, ...] = ()
    row: int | None = None


class Unauthenticated(Refused):
    """The API key is missing or wrong."""


class NotServed(Refused):
    """The server has no such model or version."""


class Overloaded(Refused):
    """Too many requests wait already, or no replica is ready.

    Attributes:
        retry_after: The seconds in the response's `Retry-After` header; None without the header.
    """

    retry_after: float | None = None


class ServerFailed(Refused):
    """The server failed on the request; its log has the reason."""


_BY_STATUS: dict[int, type[Refused]] = {
    400: RowsRefused,
    401: Unauthenticated,
    404: NotServed,
    429: Overloaded,
    502: Overloaded,
    503: Overloaded,
}


def error_of_response(
    status: int, body: bytes | bytearray, request_id: str, retry_after: float | None
) -> Refused:
    """Return the exception for a response other than 200."""
    found = _error_fields(body)
    message = str(found["message"])
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else Refused)
    error = kind(
        message or f"HTTP status {status}.",
        status=status,
        code=str(found.get("error_code", "")),
        request_id=request_id,
    )
    if isinstance(error, Overloaded):
        error.retry_after = retry_after
    if isinstance(error, RowsRefused):
        error.columns, error.row = tuple(map(str, found.get("columns", ()))), found.get("row")
    return error


def _error_fields(body: bytes | bytearray) -> dict[str, Any]:
    """Return the fields of an error; `message` is the body's text if a proxy wrote the response."""
    try:
        found: dict[str, Any] = json.loads(body)
        return found | {"message": found["message"]}
    except (ValueError, TypeError, KeyError):
        return {"message": body[:300].decode(errors="replace").strip()}
