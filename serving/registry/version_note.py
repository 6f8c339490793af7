"""A file beside a version's artifacts that identifies the version without a registry.

`cloche build` writes the note into images. A server that finds it serves the version under its
registered name and number, and checks the digest of the artifacts.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from cloche.registry.version_digest import NOTE_FILE
from cloche.serving.errors import VersionRefused


@dataclass(frozen=True, slots=True)
class Note:
    """The facts of a version that the registry held when the note was written.

    Attributes:
        digest: The digest that the artifacts must have.
        twin: The digest of the twin that may answer in the model's place; empty without a twin.
        retry: Whether a request whose model host was lost may be sent to another host.
    """

    name: str
    version: str
    digest: str
    twin: str
    retry: bool = True

    def write(self, artifacts: Path) -> None:
        """Write the note into the folder of a version's artifacts."""
        (artifacts / NOTE_FILE).write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")


def read(artifacts: Path) -> Note | None:
    """Return the note in a folder of artifacts; None if there is none.

    Raises:
        VersionRefused: The note cannot be read.
    """
    file = artifacts / NOTE_FILE
    try:
        return Note(**json.loads(file.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise VersionRefused(
            f"{file}: it cannot be read, so nobody knows which version this is. Run cloche build "
            "again."
        ) from error
