"""Reads the state of models from the registry, including models that Cloche did not train.

One model needs two calls, and a few calls for each version that is shown; these run in parallel.
For many models, one call returns a thousand of them, each with the newest version of each stage.
Each other version that has an alias needs a call of its own, and a version with stages some more.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry import RegisteredModel as Registered
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from cloche.registry.stage_fit import Signature
from cloche.registry.version_listing import versions_of
from cloche.training.errors import RegistryError
from cloche.training.gate.fetched_version import read_mlmodel
from cloche.training.gate.policy import carried_policy
from cloche.training.names import (
    ACCEPTED,
    BEFORE,
    DIGEST,
    GATE,
    GATE_RUN,
    PROMOTED_AT,
    PROMOTED_BY,
    REASON,
    STAGES,
)
from cloche.training.promotion.registry import RegisteredModel, as_model, find_model
from cloche.training.promotion.stage_status import stage_status

_AT_ONCE = 8  # parallel calls; a server with one worker does not answer more at a time
_GENERIC_FLAVOR = "python_function"


@dataclass(frozen=True)
class VersionStatus:
    """The state of one version.

    Attributes:
        created_at: Time of the registration, UTC.
        gate: Outcome of the gate: passed, refused, forced, or None if no gate judged the version.
        gate_run_id: Id of the run with the evidence; None if no gate judged the version.
        digest: Digest of the artifacts; None unless the version was promoted.
        promoted_at: Time when the version went into production, UTC, ISO 8601; None if it did not.
        promoted_by: Who promoted the version; None if nobody did.
        reason: Reason for the promotion; None if there was none.
        run_id: Id of the run that made the version; None for a version without a run.
        flavor: MLflow's name of the model's flavor; None if the artifacts cannot or need not be
            read.
        metric: Metric that the version is compared by; None if it is unknown.
        score: Value of the metric on the holdout; None if it is unknown.
        stages: Names and numbers of the stages before the version, in the order of the rows.
        stage_problem: What is wrong with the stages; None if nothing is, or they were not read.
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
    run_id: str | None
    flavor: str | None = None
    metric: str | None = None
    score: float | None = None
    stages: tuple[str, ...] = ()
    stage_problem: str | None = None


@dataclass(frozen=True)
class ModelStatus:
    """The state of a registered model.

    Attributes:
        name: Name of the model.
        aliases: Alias → number of its version.
        versions: The newest versions first, and every version with an alias.
        more: Number of older versions that are left out; None if they were not counted.
    """

    name: str
    aliases: Mapping[str, str]
    versions: tuple[VersionStatus, ...]
    more: int | None

    def at(self, alias: str) -> VersionStatus | None:
        """Return the version that has an alias; None if it is not among the versions."""
        return next((version for version in self.versions if alias in version.aliases), None)


def status(client: MlflowClient, model: str, *, most: int) -> ModelStatus:
    """Read the state of a model: its `most` newest versions, and those with an alias.

    Raises:
        RegistryError: There is no such model.
    """
    found = find_model(client, model)
    everything = versions_of(client, model)
    aliased = set(found.aliases.values())
    shown = [v for n, v in enumerate(everything) if n < most or str(v.version) in aliased]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        told = threads.map(lambda version: _whole(client, found, version), shown)
    return ModelStatus(found.name, found.aliases, tuple(told), len(everything) - len(shown))


def overview(client: MlflowClient, models: Sequence[Registered]) -> list[ModelStatus]:
    """Read the state of many models: their newest versions, and those with an alias.

    Flavors and scores are not read, because each would need a call for its file or run. Stages are
    read where a tag names one.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda model: _brief(client, model), models))


def _brief(client: MlflowClient, model: Registered) -> ModelStatus:
    found = as_model(model)
    listed = {str(version.version): version for version in model.latest_versions}
    for number in set(found.aliases.values()) - listed.keys():
        listed[number] = client.get_model_version(model.name, number)
    newest = sorted(listed, key=int, reverse=True)
    aliased = set(found.aliases.values())
    kept = [number for number in newest if number == newest[0] or number in aliased]
    told = tuple(_brief_version(client, found, listed[number]) for number in kept)
    return ModelStatus(found.name, found.aliases, told, None)


def _brief_version(
    client: MlflowClient, model: RegisteredModel, version: ModelVersion
) -> VersionStatus:
    """Return the state of a version from its entry in the registry, with its stages."""
    state = _version(model, version)
    if BEFORE not in version.tags:
        return state
    return _with_stages(client, state, version, _run_data(client, version.tags.get(GATE_RUN)))


def _whole(client: MlflowClient, model: RegisteredModel, version: ModelVersion) -> VersionStatus:
    """Return the state of a version, including what its files and runs contain."""
    mlmodel = read_mlmodel(version.name, str(version.version))
    evidence = _run_data(client, version.tags.get(GATE_RUN))
    metric, score = _score(client, version, mlmodel, evidence)
    state = replace(_version(model, version), flavor=_flavor(mlmodel), metric=metric, score=score)
    return _with_stages(client, state, version, evidence)


def _with_stages(
    client: MlflowClient, state: VersionStatus, version: ModelVersion, evidence: Any
) -> VersionStatus:
    """Return the state of a version with its stages, and with what is wrong with them."""
    accepted = evidence is not None and version.tags.get(GATE) in ACCEPTED
    judged = evidence.tags.get(STAGES, "") if accepted else None
    stages, problem = stage_status(client, version, judged, _signature)
    labels = tuple(stage.label for stage in stages)
    return replace(state, stages=labels, stage_problem=problem)


def _version(model: RegisteredModel, version: ModelVersion) -> VersionStatus:
    """Return the state of a version from its entry in the registry."""
    number, tags = str(version.version), version.tags
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
        run_id=version.run_id or None,
    )


def _signature(name: str, number: str) -> Signature | None:
    mlmodel = read_mlmodel(name, number)
    return mlmodel.signature.to_dict() if mlmodel and mlmodel.signature else None


def _flavor(mlmodel: Model | None) -> str | None:
    if mlmodel is None:
        return None
    native = [flavor for flavor in mlmodel.flavors if flavor != _GENERIC_FLAVOR]
    return native[0] if native else "pyfunc"


def _score(
    client: MlflowClient, version: ModelVersion, mlmodel: Model | None, evidence: Any
) -> tuple[str | None, float | None]:
    """Return the compared metric of the gate's evidence, or else of the training, and its value."""
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
    metric = policy.compared_metric
    return metric, training.metrics.get(f"holdout/{metric}")


def _run_data(client: MlflowClient, run_id: str | None) -> Any:
    if not run_id:
        return None
    try:
        return client.get_run(run_id).data
    except MlflowException:
        return None
