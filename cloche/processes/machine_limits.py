"""Recognition of errors that mean that the machine has no memory or disk space left."""

import errno
import os

_NO_ROOM = (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)


def exhausted_resource(error: BaseException | None) -> str:
    """Return the resource whose lack caused an error; empty if the error has another cause."""
    while error is not None:
        if isinstance(error, MemoryError):
            return "memory"
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return f"room ({os.strerror(error.errno)})"
        error = error.__cause__ or error.__context__
    return ""
