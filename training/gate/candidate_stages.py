"""The stages before a version: which they are now, and the version after them as one model."""

from dataclasses import replace
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from cloche.registry.stage_chain import Member, write_chain
from cloche.registry.stage_names import MOST_STAGES, NO_STAGE, title
from cloche.registry.version_digest import digest_tree, remove_bytecode
from cloche.registry.version_lookup import ABSENT, registered_version
from cloche.training.errors import RegistryError
from cloche.training.gate.fetched_version import FetchedVersion, StageVersion, fetch
from cloche.training.names import BEFORE


def find_stages(client: MlflowClient, uri: str, following: str) -> tuple[StageVersion, ...]:
    """Return the stages before a version, in the order of the rows.

    Args:
        client: MLflow client for the registry.
        uri: URI of the stage before the version; empty or `none` without one.
        following: The version, for messages.

    Raises:
        RegistryError: A URI names no version, or there are too many stages.
    """
    found: list[StageVersion] = []
    while (uri := uri.strip()) and uri != NO_STAGE:
        if len(found) == MOST_STAGES:
            raise RegistryError(
                f"more than {MOST_STAGES} stages are before {following}, or they name each other "
                f"in a circle; change the tags {BEFORE}"
            )
        try:
            version = registered_version(client, uri)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            raise RegistryError(
                f"the stage before {following}, {uri}, is not in the registry; name another: "
                f"--before URI, or --before {NO_STAGE} for {following} alone, on prepared rows"
            ) from error
        if version is None:
            found.insert(0, StageVersion(uri, "", uri))
            break
        number = str(version.version)
        found.insert(0, StageVersion(version.name, number, f"models:/{version.name}/{number}"))
        uri = version.tags.get(BEFORE, "")
    return tuple(found)


def fetch_behind(
    client: MlflowClient, version: FetchedVersion, stages: tuple[StageVersion, ...], folder: Path
) -> FetchedVersion:
    """Download the stages before a version, and return it with the folder and model of all as one.

    Args:
        client: MLflow client for the registry.
        version: The version, as its own artifacts.
        stages: Its stages, in the order of the rows.
        folder: An empty folder.

    Raises:
        ChainMisfit: They do not fit each other.
        RegistryError: The artifacts of a stage are gone, or are no MLflow model.
    """
    if not stages:
        return version
    members, fetched = [], []
    for place, stage in enumerate(stages):
        artifacts = _fetch_stage(client, stage, folder / f"stage {place}")
        members.append(Member(stage.label, artifacts))
        fetched.append(replace(stage, digest=digest_tree(artifacts)))
    model = Member(title(version.version.name, version.version.version), version.folder)
    chain = folder / "chain"
    write_chain(chain, [*members, model])
    return replace(version, folder=chain, model=Model.load(str(chain)), stages=tuple(fetched))


def _fetch_stage(client: MlflowClient, stage: StageVersion, folder: Path) -> Path:
    folder.mkdir()
    if stage.number:
        return fetch(client.get_model_version(stage.name, stage.number), folder).folder
    try:
        found = mlflow.artifacts.download_artifacts(artifact_uri=stage.uri, dst_path=str(folder))
    except (MlflowException, OSError) as error:
        raise RegistryError(f"the stage {stage.uri} cannot be fetched: {error}") from error
    remove_bytecode(Path(found))
    return Path(found)
