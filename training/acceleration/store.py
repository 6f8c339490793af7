"""Stores a twin beside the model, in the artifacts of a logged model or of a registered version.

The files are written first and the tags last: a reader that sees the tag `cloche.accelerated` finds
the files complete, and one that does not see it ignores them. The version's own digest leaves the
twin out, so the content that the gate judged stays the same even if the writer is interrupted.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from cloche.training.acceleration.proof.stored_twin import FOLDER, ProvenTwin
from cloche.training.names import ACCELERATED, ACCELERATED_DIGEST

KIND = "onnx"


def twin_tags(twin: ProvenTwin) -> dict[str, str]:
    """Return the tags of a version that has `twin`, in the order in which they are written."""
    return {ACCELERATED_DIGEST: twin.digest, ACCELERATED: KIND}


def attach(client: MlflowClient, model_id: str, twin: ProvenTwin) -> None:
    """Write a twin into a logged model that is not yet registered as a version."""
    with TemporaryDirectory(prefix="cloche-") as folder:
        twin.write(Path(folder, FOLDER))
        client.log_model_artifacts(model_id, folder)


def attach_to_version(client: MlflowClient, version: ModelVersion, twin: ProvenTwin) -> None:
    """Write a twin into a registered version, which may be serving.

    An older twin is withdrawn first: until the tags are back, servers use the original model.
    """
    name, number = version.name, str(version.version)
    withdraw(client, version)
    uri = client.get_model_version_download_uri(name, number)
    with TemporaryDirectory(prefix="cloche-") as folder:
        twin.write(Path(folder, FOLDER))
        get_artifact_repository(uri).log_artifacts(folder)
    for key, value in twin_tags(twin).items():
        client.set_model_version_tag(name, number, key, value)


def withdraw(client: MlflowClient, version: ModelVersion) -> None:
    """Remove the tags of a twin from a version; its files are ignored from then on."""
    for key in (ACCELERATED, ACCELERATED_DIGEST):
        if key in version.tags:
            client.delete_model_version_tag(version.name, str(version.version), key)
