"""The options of a job as the user gave them, and the result of the job."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloche.registry.env_manager import LOCAL
from cloche.serving.batch.job.refusal_limit import Limit

# A model that scores a hundred rows per second can finish a part of 65,536 rows in this time; a
# slower model gets fewer rows per call.
PREDICT_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of a job.

    Attributes:
        before: The URI of the stage before the model; `none` for no stage, empty for the one that
            the version's tag names.
        id_columns: Input columns that are copied into the output.
        keep: Whether all input columns are copied into the output.
        stamped: Whether each output row names the model, its version and its run.
        resume: Whether to continue an unfinished job of this output.
        overwrite: Whether to discard an existing output or unfinished job.
        part_rows: The maximum number of rows of a part; of text, rows of 128 bytes are meant.
        cache: The directory of downloaded versions.
        tracked: Whether the job becomes a run in MLflow.
        acceleration: Whether the version's accelerated twin may score rows in its place.
        env_manager: The tool that builds the version's environment; `local` for none.
        options: CSV options that override those of the version; see
            `cloche.serving.batch.input.csv_options`.
    """

    model: str
    before: str = ""
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
    """The result of a job.

    Attributes:
        manifest: The manifest of the job.
        fresh: Whether this call scored anything; False if the job was finished already.
    """

    manifest: dict[str, Any]
    fresh: bool

    @property
    def quarantined(self) -> int:
        """The number of rows in quarantine."""
        refused: int = self.manifest["refused"]
        return refused
