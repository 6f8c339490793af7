"""What a process that logs predictions of a version is told: where to, and what of them.

A record is `[requests, inputs, outputs]`. Each request is a list of its ID, the time at which it
was received (us), the number of its rows, status, reason, predictor, arm, door, attempt, inclusion,
the times in the queue and in the model (us), its prediction ID (None, a text, or a list with one
for each row), and the hashes of its subjects (None, or a list with one for each row).

A front tells it to a model host with the version. So the secret of the hashes stays in the front: a
host gets a key that is derived for its model, with which nobody finds the hashes of other models.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from cloche.values.keyed_hashes import derived_key

DESTINATION_NAME = "destination.txt"
ALL_INPUTS = ("all",)
BEST_EFFORT, PROCESS, MACHINE = PROMISES = ("best-effort", "process", "machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlan:
    """Where and what a process logs.

    Attributes:
        folder: The folder of the spool, for one destination.
        server: The ID of the server's start.
        promise: One of `PROMISES`.
        inputs: The names of the columns that are kept, or `ALL_INPUTS`.
        hashed: Those of them that are kept as keyed hashes.
        id_column: The column with the caller's names of predictions; empty for none.
        subject: The column with whom a row is about; empty for none.
        sample: The probability with which a request is kept.
        spool_bytes: How large the spool may become.
        key: The key of hashes; the secret itself until `for_version` derives the model's.
        model: The name of the registered model, or under which it is served.
        version: The number of the version.
        digest: The digest of its artifacts; empty if none was recorded.
    """

    folder: str
    server: str
    promise: str = PROCESS
    inputs: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    id_column: str = ""
    subject: str = ""
    sample: float = 1.0
    spool_bytes: int = 1 << 30
    key: bytes = field(default=b"", repr=False)
    model: str = ""
    version: str = ""
    digest: str = ""

    def for_version(self, model: str, version: str, digest: str) -> "LogPlan":
        """The plan for a host of this version."""
        needs_key = self.hashed or self.subject
        key = derived_key(self.key, model) if needs_key else b""
        return replace(self, key=key, model=model, version=version, digest=digest)

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return asdict(self) | {"key": self.key.hex()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "LogPlan":
        """Create what `to_json` has made a JSON object of."""
        lists = {name: tuple(fields[name]) for name in ("inputs", "hashed")}
        return cls(**{**fields, **lists, "key": bytes.fromhex(fields["key"])})


def spool_folder(root: Path, destination: str) -> Path:
    """The folder of a destination's spool."""
    return root / hashlib.sha256(destination.encode()).hexdigest()[:16]


@cache
def door_name(protocol: str) -> str:
    """How the log names the way by which a request came: its protocol, and whether over gRPC."""
    over_grpc = protocol.removesuffix("_grpc")
    return protocol if over_grpc == protocol else f"grpc {over_grpc}"
