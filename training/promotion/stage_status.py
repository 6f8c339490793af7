"""What is before a version, whether both fit, and whether they are what the gate judged."""

import shlex
from collections.abc import Callable

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from cloche.registry.stage_fit import Signature, first_misfit
from cloche.registry.stage_names import NO_STAGE, title
from cloche.training.errors import RegistryError
from cloche.training.gate.candidate_stages import find_stages
from cloche.training.gate.fetched_version import StageVersion, uris
from cloche.training.names import BEFORE

Stages = tuple[StageVersion, ...]


def stage_status(
    client: MlflowClient,
    version: ModelVersion,
    judged: str | None,
    signature_of: Callable[[str, str], Signature | None],
) -> tuple[Stages, str | None]:
    """Return the stages before a version now, and what is wrong with them.

    Args:
        client: MLflow client for the registry.
        version: The version.
        judged: URIs of the stages with which the gate let the version pass; None if it did not.
        signature_of: Function from the name and number of a version to its signature.

    Returns:
        The stages, and a sentence; None instead of the sentence if nothing is wrong.
    """
    name, number = version.name, str(version.version)
    try:
        stages = find_stages(client, version.tags.get(BEFORE, ""), f"{name} version {number}")
    except RegistryError as error:
        return (), str(error)
    if stages:
        chain = [
            (stage.label, signature_of(stage.name, stage.number) if stage.number else None)
            for stage in stages
        ]
        if reason := first_misfit([*chain, (title(name, number), signature_of(name, number))]):
            return stages, f"{reason} Promote versions that fit."
    if judged is not None and judged != uris(stages):
        return stages, _not_judged(name, number, judged, stages)
    return stages, None


def _not_judged(name: str, number: str, judged: str, stages: Stages) -> str:
    now = stages[-1].uri if stages else NO_STAGE
    command = f"cloche promote {shlex.quote(name)} --version {number} --before"
    return (
        f"the gate judged {name} version {number} {f'after {judged}' if judged else 'alone'}, and "
        f"{uris(stages) or 'nothing'} is before it now; `{command} {now}` judges that, and "
        f"`{command} {judged.rpartition(', ')[2] or NO_STAGE}` goes back"
    )
