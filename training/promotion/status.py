"""What the registry says of its models, read only; models that Cloche never touched included."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from cloche.training.errors import RegistryError
from cloche.training.gate.policy import carried_policy
from cloche.training.names import (
    DIGEST,
    GATE,
    GATE_RUN,
    PROMOTED_AT,
    PROMOTED_BY,
    REASON,
)
from cloche.training.promotion.registry import RegisteredModel, find_model
from cloche.versions import files_of, versions_of

_GENERIC_FLAVOR = "python_function"


@dataclass(frozen=True)
class VersionStatus:
    """One version.

    Attributes:
        version: its number.
        created_at: when it was registered, UTC.
        aliases: the aliases that point to it.
        gate: passed, refused, forced, or None if no gate judged it.
        gate_run_id: the run that holds the evidence.
        digest: of its artifacts, where it was promoted.
        promoted_at: when it went into production, UTC, ISO 8601.
        promoted_by: who put it there.
        reason: why.
        flavor: of the model, as MLflow calls it; None if the artifacts cannot be read.
        run_id: the run that made it; None for a version without one.
        metric: the metric that it is compared by; None if nothing says which.
        score: its value on the holdout; None likewise.
    """

    version: str
    created_at: datetime
    aliases: tuple[str, ...]
    gate: str | None
    gate_run_id: str | None
    digest: str | None
    promoted_at: str | None
    promoted_by: str | None
    reason: str | None
    flavor: str | None
    run_id: str | None
    metric: str | None
    score: float | None


@dataclass(frozen=True)
class ModelStatus:
    """A registered model.

    Attributes:
        name: of the model.
        aliases: alias → number of its version.
        versions: the newest first, and every one that has an alias.
        more: how many older ones are left out.
    """

    name: str
    aliases: Mapping[str, str]
    versions: tuple[VersionStatus, ...]
    more: int


def status(client: MlflowClient, model: str, *, most: int) -> ModelStatus:
    """Read what the registry says of a model.

    Args:
        client: of the tracking store and the registry.
        model: name of the registered model.
        most: how many versions to look at; those with an alias come in any case.

    Raises:
        RegistryError: there is no such model.
    """
    found = find_model(client, model)
    everything = versions_of(client, model)
    aliased = set(found.aliases.values())
    shown = [v for n, v in enumerate(everything) if n < most or str(v.version) in aliased]
    return ModelStatus(
        found.name,
        found.aliases,
        tuple(_version(client, found, version) for version in shown),
        len(everything) - len(shown),
    )


def _version(client: MlflowClient, model: RegisteredModel, version: ModelVersion) -> VersionStatus:
    number, tags = str(version.version), version.tags
    mlmodel = _mlmodel(version)
    metric, score = _score(client, version, mlmodel)
    return VersionStatus(
        version=number,
        created_at=datetime.fromtimestamp(version.creation_timestamp / 1_000, UTC),
        aliases=tuple(alias for alias, target in model.aliases.items() if target == number),
        gate=tags.get(GATE),
        gate_run_id=tags.get(GATE_RUN),
        digest=tags.get(DIGEST),
        promoted_at=tags.get(PROMOTED_AT),
        promoted_by=tags.get(PROMOTED_BY),
        reason=tags.get(REASON),
        flavor=_flavor(mlmodel),
        run_id=version.run_id or None,
        metric=metric,
        score=score,
    )


def _mlmodel(version: ModelVersion) -> Model | None:
    try:
        with TemporaryDirectory(prefix="cloche-") as folder:
            files = files_of(version.name, str(version.version))
            return Model.load(files.download_artifacts("MLmodel", folder))
    except (MlflowException, OSError):
        return None


def _flavor(mlmodel: Model | None) -> str | None:
    if mlmodel is None:
        return None
    native = [flavor for flavor in mlmodel.flavors if flavor != _GENERIC_FLAVOR]
    return native[0] if native else "pyfunc"


def _score(
    client: MlflowClient, version: ModelVersion, mlmodel: Model | None
) -> tuple[str | None, float | None]:
    """The first metric of the gate's evidence, or else of the training run."""
    evidence = _run_data(client, version.tags.get(GATE_RUN))
    if evidence is not None and "cloche.metric" in evidence.tags:
        metric = evidence.tags["cloche.metric"]
        return metric, evidence.metrics.get(f"candidate/{metric}")
    try:
        policy = carried_policy(mlmodel.metadata if mlmodel else None)
    except RegistryError:
        policy = None
    training = _run_data(client, version.run_id)
    if policy is None or training is None:
        return None, None
    metric = policy.measured[0]
    return metric, training.metrics.get(f"holdout/{metric}")


def _run_data(client: MlflowClient, run_id: str | None) -> Any:
    if not run_id:
        return None
    try:
        return client.get_run(run_id).data
    except MlflowException:
        return None
