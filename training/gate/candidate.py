"""A version's artifacts on this machine's disk, fetched from the registry."""

import os
from dataclasses import dataclass
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from cloche.training.errors import RegistryError


@dataclass(frozen=True)
class Candidate:
    """A version on this machine's disk.

    Attributes:
        version: its entry in the registry.
        folder: its artifacts.
        model: its MLmodel.
    """

    version: ModelVersion
    folder: Path
    model: Model

    @property
    def label(self) -> str:
        """`name version N`, for people."""
        return f"{self.version.name} version {self.version.version}"


def fetch(version: ModelVersion, folder: Path) -> Candidate:
    """Download a version's artifacts into `folder`: for its digest, signature and probe.

    Raises:
        RegistryError: the artifacts are gone, or are no MLflow model.
    """
    uri = f"models:/{version.name}/{version.version}"
    try:
        # Always a copy: where artifacts are local files, MLflow would hand out its own and write
        # into them.
        path = Path(download_artifacts(artifact_uri=uri, dst_path=os.fspath(folder)))
        return Candidate(version, path, Model.load(os.fspath(path)))
    except (MlflowException, OSError) as error:
        raise RegistryError(f"{uri} cannot be fetched: {error}") from error
