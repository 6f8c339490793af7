"""The messages between the front and the fork server: one JSON object in each packet.

The front sends `{"fork": program, "arguments": [...], "id": n}`, with the file descriptors of the
fork's socket and of its output, and `"needs": [module, ...]` for modules to import first;
`{"kill": pid}`; and `{"import": [module, ...]}`, for later forks.

The fork server answers each `fork` message by its ID with `forked`, a process ID, or with a reason:
`failed` if the program cannot run here, `full` if the machine has no room for it now. When a fork
has ended, it sends `{"ended": pid, "code": code}`.
"""

import enum
import json
from typing import Any

# Modules that most versions trained by Cloche need, and that take longer than all others.
TRAINED_IMPORTS = ("sklearn.utils", "sklearn.ensemble", "skops.io")
FORK_SECONDS = 120.0  # time limit of a fork, which includes imports on a busy machine
PACKET = 1 << 16


class Program(enum.StrEnum):
    """The programs that a fork can run, and for which a fork server can import in advance.

    TWIN_WORKER is a worker that begins with the twin: the imports of its model are left out.
    """

    HOST = "host"
    REGISTRY = "registry"
    WORKER = "worker"
    TWIN_WORKER = "twin"


def packet(**message: Any) -> bytes:
    """The bytes of a message."""
    return json.dumps(message).encode()


def read(data: bytes) -> dict[str, Any]:
    """The message in received bytes."""
    message: dict[str, Any] = json.loads(data)
    return message
