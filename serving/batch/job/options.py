"""What a person asked for, and how it ended."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloche.registry.env_manager import LOCAL
from cloche.serving.batch.job.refusal_limit import Limit

# A part has up to 65,536 rows. Models that answer a hundred rows in a second have the time for one,
# and slower ones get fewer rows at once.
PREDICT_SECONDS = 600.0
INPUT_FORMATS = ("csv", "jsonl", "parquet", "arrow")
OUTPUT_FORMATS = ("parquet", "csv", "jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """A job as it was asked for.

    Attributes:
        model: The model URI.
        id_columns: Input columns that go into the output.
        keep: Whether all of them do.
        stamped: Whether each row names model, version and run.
        limit: How many rows may be refused.
        resume: Go on with what an earlier job left.
        overwrite: Forget what is there.
        workers: How many processes score.
        part_rows: Most rows of a part.
        cache: Where fetched versions are kept.
        tracked: Whether the job becomes a run in MLflow.
        acceleration: Whether the version's accelerated twin may answer in its place.
        env_manager: What builds the environment that the version runs in; `local` for none.
        options: How CSV input is written, where the version does not tell or tells otherwise.
    """

    model: str
    id_columns: tuple[str, ...] = ()
    keep: bool = False
    stamped: bool = False
    limit: Limit = field(default_factory=Limit)
    resume: bool = False
    overwrite: bool = False
    workers: int = 1
    part_rows: int = 65_536
    cache: Path = Path()
    tracked: bool = True
    acceleration: bool = True
    env_manager: str = LOCAL
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended.

    Attributes:
        record: What its manifest says.
        fresh: Whether anything was done; not if the job was finished already.
    """

    record: dict[str, Any]
    fresh: bool

    @property
    def quarantined(self) -> int:
        """Rows in quarantine."""
        refused: int = self.record["refused"]
        return refused
