"""What the front and the fork server say to each other: one JSON object in each packet.

The front: `{"fork": program, "arguments": [...], "id": n}`, with the descriptors of the fork's
socket and of its output, and `"needs": [module, ...]` for what is imported before; `{"kill": pid}`;
and `{"import": [module, ...]}`, for later forks.

The fork server answers each fork by its id with `forked`, a process id, or with a reason: `failed`
where the program cannot run here, `full` where the machine has no room for it now. When a fork has
ended: `{"ended": pid, "code": code}`.
"""

import enum
import json
from typing import Any

FORK_SECONDS = 120.0  # until a fork is there: imports on a machine that is busy
PACKET = 1 << 16


class Program(enum.StrEnum):
    """What a fork can be."""

    HOST = "host"
    REGISTRY = "registry"
    WORKER = "worker"


def packet(**message: Any) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode()


def read(data: bytes) -> dict[str, Any]:
    """A message that was received."""
    message: dict[str, Any] = json.loads(data)
    return message
