"""A part: one piece of the input, and what became of it.

What an engine is given and what it gives back. Both are plain data that survive JSON, because they
cross process borders and lie in the journal of a job.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows belong together.

    Attributes:
        index: Its place in the row order of the input, from 0.
        source: The file, as a path or URI.
        format: `csv`, `jsonl`, `parquet` or `arrow`.
        start: First byte (text), or first row within the group (columnar).
        stop: Byte or row after the last.
        group: Row group or record batch of a columnar file.
        header: Bytes of a CSV file's header line, with whatever lies before it.
        constants: Columns that the name of a directory gives, like `date=2013-11-01`.
        types: Types that columns have in the whole file, for a version without signature.
        transient: Whether the file was made for this part alone, and goes when the part is done.
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

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PartFile:
    """A file that a part left in the working directory; empty parts leave none."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FinishedPart:
    """What became of a part.

    Attributes:
        index: Which part.
        rows: Rows that were read: scored and refused ones.
        refused: Rows in quarantine.
        reasons: Kind of reason → how many rows.
        columns: Of the scored rows; none if there are no such rows.
        data: The scored rows.
        quarantine: The refused ones.
        seconds: How long it took, and of that how long in the model.
        statistics: Counts for the report, see `cloche.serving.batch.report.statistics`.
        by_twin: Scored rows that the accelerated twin answered.
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
        """Rows in the output."""
        return self.rows - self.refused

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The record that `to_json` made.

        Raises:
            TypeError, KeyError: It is none.
        """
        files = {
            name: PartFile(**data[name]) if data[name] else None for name in ("data", "quarantine")
        }
        return cls(**{**data, **files})
