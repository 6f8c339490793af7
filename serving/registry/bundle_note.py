"""The note beside a version's files that says which version they are, outside any registry.

`cloche build` writes it into images; a server that finds it serves the version by its name and
number, and checks its digest.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from cloche.registry.version_digest import PINNED
from cloche.serving.errors import VersionRefused


@dataclass(frozen=True, slots=True)
class Note:
    """What a registry knew of a version.

    Attributes:
        name: Of the registered model.
        version: Its number.
        digest: What its artifacts must hash to.
        twin: The digest of the accelerated twin that may answer for it; empty for none.
        retry: Whether a request whose host was lost may be given to another one.
    """

    name: str
    version: str
    digest: str
    twin: str
    retry: bool = True

    def write(self, artifacts: Path) -> None:
        """Leave the note beside a version's files."""
        (artifacts / PINNED).write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")


def read(artifacts: Path) -> Note | None:
    """The note beside a version's files, if there is one.

    Raises:
        VersionRefused: It cannot be read.
    """
    file = artifacts / PINNED
    try:
        return Note(**json.loads(file.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise VersionRefused(
            f"{file}: it cannot be read, so nobody knows which version this is. Run cloche build "
            "again."
        ) from error
