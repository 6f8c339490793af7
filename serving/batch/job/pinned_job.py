"""The pinned job: everything that decides the bytes of its output, fixed when it starts."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

# Field → its key in `job.json`, where it has an older name.
_KEYS = {"fingerprints": "inputs", "csv_options": "reading", "has_refusal_limit": "patient"}


@dataclass(frozen=True, slots=True)
class PinnedMember:
    """A version of a chain: a stage, or the model after its stages.

    Attributes:
        version: The version's number; empty outside the registry.
        digest: The SHA-256 digest of the artifacts.
        artifacts: The URI of exactly this version, independent of aliases.
    """

    name: str
    version: str
    digest: str
    artifacts: str

    def __str__(self) -> str:
        """The name and version for messages."""
        return _named(self.name, self.version)


@dataclass(frozen=True, slots=True)
class PinnedVersion:
    """The version that scores the whole job, even if another one is promoted in the meantime.

    Attributes:
        uri: The model URI as the user gave it.
        version: The version's number; empty outside the registry.
        run_id: The run that logged the version; empty if unknown.
        model_id: MLflow's id of the logged model; empty if there is none.
        digest: The SHA-256 digest of the artifacts.
        path: The local directory of the artifacts; with stages, of a model that chains all versions
            (`cloche/registry/stage_chain.py`).
        artifacts: The URI of exactly this version, independent of aliases.
        twin: The digest of the accelerated twin that scores the rows it is sure of; empty for none.
        before: The option `--before` as the user gave it; empty if the version's tag decides.
        stages: The stages before the version, in the order of the rows.
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
    before: str = ""
    stages: tuple[PinnedMember, ...] = ()

    def __str__(self) -> str:
        """The name and version for messages."""
        behind = f" behind {' and '.join(map(str, self.stages))}" if self.stages else ""
        return _named(self.name, self.version) + behind

    @property
    def identity(self) -> tuple[Any, ...]:
        """What differs between any two versions, or between the same behind other stages."""
        return self.artifacts, self.digest, self.stages

    @property
    def stage_label(self) -> str:
        """The stages as `NAME/VERSION,…`, as servers name them; empty without stages."""
        return ",".join(f"{one.name}/{one.version}".rstrip("/") for one in self.stages)


@dataclass(frozen=True, slots=True)
class Layout:
    """The format and columns of the output.

    Attributes:
        format: One of `cloche.serving.batch.output.formats.catalog.OUTPUT_FORMATS`.
        directory: Whether the output is a directory with one file per part.
        carried: Input columns that are copied into the output, in this order.
        stamped: Whether each output row names the model, its version and its run.
    """

    format: str
    directory: bool
    carried: tuple[str, ...] = ()
    stamped: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A pinned job.

    Attributes:
        fingerprints: File or other source → its fingerprint.
        inferred: File → column → type over all rows, for a version without a signature.
        features: The columns of the only tensor of the signature; empty for all columns, and for
            signatures with column names.
        environment: The environment of the version: its `manager`, and how its packages `differs`
            from those that the version was logged with; empty in jobs of older releases.
        csv_options: The CSV options of the input; see `cloche.serving.batch.input.csv_options`.
        has_refusal_limit: Whether the user gave a limit of refused rows: only without one does a
            job stop early because a sample of rows fails.
    """

    model: PinnedVersion
    fingerprints: dict[str, str]
    layout: Layout
    part_rows: int
    has_refusal_limit: bool = False
    inferred: dict[str, dict[str, str]] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)
    csv_options: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the job as data for `json.dumps`."""
        content = asdict(self)
        for name in ("before", "stages"):  # absent without stages, as in older releases
            if not content["model"][name]:
                del content["model"][name]
        return {_KEYS.get(name, name): value for name, value in content.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Build a job from the data that `to_json` returned."""
        fields = {key: name for name, key in _KEYS.items()}
        data = {fields.get(name, name): value for name, value in data.items()}
        layout = data["layout"] | {"carried": tuple(data["layout"]["carried"])}
        stages = tuple(PinnedMember(**stage) for stage in data["model"].get("stages", ()))
        model = PinnedVersion(**data["model"] | {"stages": stages})
        features = tuple(data.get("features", ()))
        return cls(**data | {"model": model, "layout": Layout(**layout), "features": features})


def metadata(job: Job) -> dict[str, str]:
    """Return the metadata of a Parquet file that names the source of its predictions."""
    return {f"cloche.{name}": value for name, value in version_labels(job).items()} | {
        "cloche.model_digest": job.model.digest
    }


def version_labels(job: Job) -> dict[str, str]:
    """Return the model's name, version, stages and run, for columns or metadata."""
    model = job.model
    stages = {"model_stages": model.stage_label} if model.stages else {}
    return {
        "model_name": model.name, "model_version": model.version, **stages,
        "model_run_id": model.run_id,
    }  # fmt: skip


def _named(name: str, version: str) -> str:
    return f"{name} version {version}" if version else name
