"""Where the output goes: its names, its layout, and when it counts as complete."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.errors import SettingsError

FORMATS = ("parquet", "csv", "jsonl")
_SUFFIXES = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Output:
    """A file, or a directory of parts with `_SUCCESS`.

    Attributes:
        path: Its final name.
        format: `parquet`, `csv` or `jsonl`.
        directory: Whether it is a directory.
    """

    path: Path
    format: str
    directory: bool

    def beside(self, what: str) -> Path:
        """What goes with it: `_report.html` in the directory, `NAME.report.html` beside a file."""
        if self.directory:
            return self.path / f"_{what}"
        return self.path.with_name(f"{self.path.name}.{what}")

    @property
    def occupied(self) -> bool:
        """Whether something is there; an empty directory is nothing."""
        if self.path.is_dir():
            return any(self.path.iterdir())
        return self.path.exists()

    def manifest(self) -> dict[str, Any] | None:
        """The record of the job that completed it; None if none did."""
        try:
            record: dict[str, Any] = json.loads(self.beside("manifest.json").read_text())
            whole = all(
                (self.path.parent / name).stat().st_size == file["size"]
                for name, file in record["files"].items()
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if whole else None


def describe(text: str, given_format: str | None) -> Output:
    """The output that a person named.

    Raises:
        SettingsError: The name cannot be written to.
    """
    if text == "-":
        return Output(Path("-"), given_format or "csv", directory=False)
    path = Path(text).expanduser().absolute()
    known = _SUFFIXES.get(path.suffix.lower())
    directory = text.endswith("/") or path.is_dir() or known is None
    if "://" in text:
        raise SettingsError(f"{text}: write to a path; object stores are read from only.")
    return Output(path, given_format or known or "parquet", directory)
