"""The part, a range of rows that are scored together, and the finished part.

An engine receives parts and returns finished parts. Both convert to JSON and back, because they
are sent between processes, and finished parts are lines of the journal.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Part:
    """A range of rows of one file.

    Attributes:
        index: The position of the part in the row order of the input, from 0.
        source: The path or URI of the file.
        format: The format of the file.
        start: The first byte (text), or the first row within the group (columnar).
        stop: The byte or row after the last one.
        group: The number of the row group or record batch in a columnar file; for text,
            the same as `index`.
        header: The number of bytes up to the end of a CSV file's header.
        constants: Columns given by directory names like `date=2013-11-01`.
        types: Column → its type in the whole file, for a version without a signature.
        transient: Whether the file was made for this part only, and is deleted after it.
        plain: Whether the part is plain CSV; see `cloche.serving.batch.input.record_boundaries`.
    """

    index: int
    source: str
    format: str
    start: int
    stop: int
    group: int = 0
    header: int = 0
    constants: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    transient: bool = False
    plain: bool = False

    @property
    def within_file(self) -> bool:
        """Whether the part begins within its file or stream: other rows are before it."""
        return bool(self.start > self.header or self.group or (self.transient and self.index))

    def to_json(self) -> dict[str, Any]:
        """Return the part as data for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PartFile:
    """A file of a finished part in the working directory; parts without rows have none."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FinishedPart:
    """A part that was scored and written, with its counts.

    Attributes:
        rows: The number of rows read, both scored and refused.
        refused: The number of rows in quarantine.
        reasons: Kind of reason → number of refused rows.
        columns: The names of the output columns; empty if no row was scored.
        data: The file with the scored rows.
        quarantine: The file with the refused rows.
        seconds: Seconds for the whole part (`all`), reading (`read`) and predicting (`model`).
        statistics: Counts for the report; see `cloche.drift.statistics`.
        by_twin: The number of rows that the accelerated twin scored.
    """

    index: int
    rows: int
    refused: int
    reasons: dict[str, int]
    columns: list[str]
    data: PartFile | None
    quarantine: PartFile | None
    seconds: dict[str, float]
    statistics: dict[str, Any]
    by_twin: int = 0

    @property
    def scored(self) -> int:
        """The number of rows in the output."""
        return self.rows - self.refused

    def to_json(self) -> dict[str, Any]:
        """Return the finished part as data for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Build a finished part from the data that `to_json` returned.

        Raises:
            TypeError, KeyError: `data` is not a finished part.
        """
        files = {
            name: PartFile(**data[name]) if data[name] else None for name in ("data", "quarantine")
        }
        return cls(**{**data, **files})
