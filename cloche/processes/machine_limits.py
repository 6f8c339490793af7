"""Failures of the machine, told from failures of what runs on it."""

import errno
import os

_NO_ROOM = (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)


def lacking(error: BaseException | None) -> str:
    """What the machine has no more of, if that is why something failed; empty otherwise."""
    while error is not None:
        if isinstance(error, MemoryError):
            return "memory"
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return f"room ({os.strerror(error.errno)})"
        error = error.__cause__ or error.__context__
    return ""
