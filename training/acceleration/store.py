"""Puts a twin beside the model, in the artifacts of a logged model or of a registered version.

The files come first and the tags last: a reader that sees the tag `cloche.accelerated` finds the
rest in place, and one that does not see it ignores the files. The version's own digest leaves the
twin out, so nothing that was judged changes, whenever the writer is stopped.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from cloche.training.acceleration.proof.twin import FOLDER, Twin
from cloche.training.names import ACCELERATED, ACCELERATED_DIGEST

KIND = "onnx"


def twin_tags(twin: Twin) -> dict[str, str]:
    """The tags of a version that has `twin`, in the order in which they are written."""
    return {ACCELERATED_DIGEST: twin.digest, ACCELERATED: KIND}


def attach(client: MlflowClient, model_id: str, twin: Twin) -> None:
    """Write a twin into a logged model that no version was made of yet."""
    with TemporaryDirectory(prefix="cloche-") as folder:
        twin.write(Path(folder, FOLDER))
        client.log_model_artifacts(model_id, folder)


def attach_to_version(client: MlflowClient, version: ModelVersion, twin: Twin) -> None:
    """Write a twin into a registered version, which may be serving.

    An older twin is withdrawn first: until the tags are back, servers ask the original.
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
    """Take the tags of a twin from a version; its files are ignored then."""
    for key in (ACCELERATED, ACCELERATED_DIGEST):
        if key in version.tags:
            client.delete_model_version_tag(version.name, str(version.version), key)
