"""What a job is: everything that decides the bytes of its output, pinned when it starts."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

TEXT = ("csv", "jsonl")
COLUMNAR = ("parquet", "arrow")


@dataclass(frozen=True, slots=True)
class Pinned:
    """The version that scores the whole job, whatever is promoted meanwhile.

    Attributes:
        uri: The model URI as it was given.
        name: The model's name.
        version: Its number; empty outside the registry.
        run_id: The run that made it; empty if nobody knows.
        model_id: MLflow's id of the logged model; empty if there is none.
        digest: SHA-256 over its artifacts.
        path: Where the artifacts lie on this machine.
        artifacts: The URI of exactly this version, which never moves.
        twin: The digest of the accelerated twin that answers where it is sure; empty for none.
    """

    uri: str
    name: str
    version: str
    run_id: str
    model_id: str
    digest: str
    path: str
    artifacts: str
    twin: str = ""

    def __str__(self) -> str:
        """The version as a person says it."""
        return f"{self.name} version {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Layout:
    """What the output looks like.

    Attributes:
        format: `parquet`, `csv` or `jsonl`.
        directory: Whether the parts stay files of their own.
        carried: Input columns beside the predictions, in this order.
        stamped: Whether each row names model, version and run.
    """

    format: str
    directory: bool
    carried: tuple[str, ...] = ()
    stamped: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Attributes:
        model: The version.
        inputs: Name → fingerprint of each file or other source.
        layout: What the output looks like.
        part_rows: Most rows of a part.
        inferred: File → types that its columns have in all rows, for a version without signature.
        features: The columns that make the one tensor of the model's signature; empty for all, and
            where the signature names columns.
        environment: Where the version runs: the `manager` of its environment, and in what it
            `differs` from the one that the version was logged with; empty in jobs of old.
        reading: By what options CSV input is read; see `cloche.serving.batch.input.csv_options`.
        patient: Whether somebody said how many rows may be refused: then none are too many early.
    """

    model: Pinned
    inputs: dict[str, str]
    layout: Layout
    part_rows: int
    patient: bool = False
    inferred: dict[str, dict[str, str]] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)
    reading: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The job that `to_json` wrote."""
        layout = data["layout"] | {"carried": tuple(data["layout"]["carried"])}
        model, features = Pinned(**data["model"]), tuple(data.get("features", ()))
        return cls(**data | {"model": model, "layout": Layout(**layout), "features": features})


def notes(job: Job) -> dict[str, str]:
    """What a Parquet file says about where its predictions come from."""
    return {f"cloche.{name}": value for name, value in stamps(job).items()} | {
        "cloche.model_digest": job.model.digest
    }


def stamps(job: Job) -> dict[str, str]:
    """Model, version and run of the version, as columns or metadata."""
    model = job.model
    return {"model_name": model.name, "model_version": model.version, "model_run_id": model.run_id}
