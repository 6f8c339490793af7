"""What may differ between MLflow's answers and ours; `docs/differences.md` tells it to users.

And which refusals only say that something is wrong, without the place.
"""

from typing import NamedTuple


class Difference(NamedTuple):
    """The status of both answers to the same body, where they differ, and why."""

    mlflow: int
    cloche: int
    reason: str
    only: bytes = b""  # in a body


DIFFERENCES = [
    Difference(500, 400, "A body that cannot be read is the client's mistake, not the server's."),
    Difference(500, 415, "So is a request without a content type."),
    Difference(200, 400, "What is missing where no column can hold that is refused.", b"null"),
    Difference(200, 400, "A word is no truth value.", b'"e": "'),
    Difference(200, 400, "Neither is a list,", b'"e": ['),
    Difference(200, 400, "nor an object.", b'"e": {'),
    Difference(400, 200, "A datetime with a time zone is taken, in UTC,", b':05Z"'),
    Difference(400, 200, "and a table of datetimes in CSV.", b"when\n"),
]

MOST_GENERAL = 0.05  # of all refusals
_GENERAL = (
    "The request does not fit the model's signature",
    "The inputs or parameters do not fit the model's signature",
    "The request cannot be read, and the version has no signature",
    "The body cannot be read as",
)


def is_general(message: str) -> bool:
    """Whether a message names no column, parameter, property, shape, layout or line."""
    return message.startswith(_GENERAL)
