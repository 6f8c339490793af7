"""The output of a job: its names, its layout, and when it counts as complete."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloche.serving.batch.output.formats.catalog import format_of_suffix
from cloche.serving.batch.output.location import Folder
from cloche.serving.batch.output.object_store import Store


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a job: a file, or a directory of parts with `_SUCCESS`.

    Attributes:
        place: The parent folder, on this machine or in an object store.
        name: The final name in that folder.
        format: One of `formats.catalog.OUTPUT_FORMATS`.
        directory: Whether the output is a directory.
    """

    place: Folder | Store
    name: str
    format: str
    directory: bool

    def __str__(self) -> str:
        """The path or URI of the output."""
        return self.place.shown(self.name)

    def beside(self, what: str) -> str:
        """Return the name of an accompanying file.

        It is like `NAME/_report.html` for a directory, and `NAME.report.html` for a file.
        """
        return f"{self.name}/_{what}" if self.directory else f"{self.name}.{what}"

    def written(self, cache: Path) -> list[str]:
        """Return the paths and URIs of everything that a job creates or replaces."""
        goes_with = ("manifest.json", "report.json", "report.html", "quarantine.jsonl")
        names = [self.name, f".{self.name}.cloche.json", *map(self.beside, goes_with)]
        return [*map(self.place.shown, names), str(self.place.work(self.name, cache))]

    @property
    def occupied(self) -> bool:
        """Whether a file, or a directory that is not empty, has the name of the output."""
        return self.place.occupied(self.name)

    def manifest(self) -> dict[str, Any] | None:
        """Return the manifest of a complete output; None if the output is not complete."""
        try:
            record: dict[str, Any] = json.loads(
                self.place.read(self.beside("manifest.json")) or b""
            )
            files = {name: file["size"] for name, file in record["files"].items()}
        except (ValueError, KeyError, TypeError):
            return None
        if self.directory:
            files[self.beside("SUCCESS")] = 0
        return record if self.place.sizes(list(files)) == list(files.values()) else None


def describe(text: str, given_format: str | None) -> Output:
    """Return the output that the user named.

    Raises:
        SettingsError: The store is unknown, or the URI names a whole bucket.
        JobFailed: The store does not answer.
    """
    if text == "-":
        return Output(Folder(Path()), "-", given_format or "csv", directory=False)
    place: Folder | Store
    if "://" in text and not text.startswith("file://"):
        place, name = Store.of(text)
        is_directory = text.partition("?")[0].endswith("/")
    else:
        path = Path(text.removeprefix("file://")).expanduser().absolute()
        place, name = Folder(path.parent), path.name
        is_directory = text.endswith("/") or path.is_dir()
    known = format_of_suffix(Path(name).suffix.lower())
    return Output(place, name, given_format or known or "parquet", is_directory or known is None)
