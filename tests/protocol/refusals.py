"""Which refusals only say that something is wrong, without the place."""

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
