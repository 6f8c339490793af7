"""A version's artifacts on the local disk, downloaded from the registry."""

import os
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from cloche.registry.permissions import explain_refusal
from cloche.registry.version_digest import remove_bytecode
from cloche.registry.version_listing import files_of
from cloche.training.errors import RegistryError


@dataclass(frozen=True)
class FetchedVersion:
    """A version on the local disk."""

    version: ModelVersion
    folder: Path
    model: Model

    @property
    def label(self) -> str:
        """`name version N`, for people."""
        return f"{self.version.name} version {self.version.version}"


def fetch(version: ModelVersion, folder: Path) -> FetchedVersion:
    """Download a version's artifacts into `folder`, for its digest, signature and probe.

    Raises:
        RegistryError: The artifacts are gone, or are no MLflow model.
    """
    label = f"{version.name} version {version.version}"
    try:
        # Always a copy: from a local store, MLflow would return the stored files and write into
        # them.
        files = files_of(version.name, str(version.version))
        path = Path(files.download_artifacts("", os.fspath(folder)))
        remove_bytecode(path)
        if not (path / "MLmodel").is_file():  # object stores do not report a missing folder
            raise FileNotFoundError("MLmodel is not in the store")
        return FetchedVersion(version, path, Model.load(os.fspath(path)))
    except (MlflowException, OSError) as error:
        raise RegistryError(
            f"{label} cannot be fetched: {explain_refusal(error) or error}"
        ) from error
