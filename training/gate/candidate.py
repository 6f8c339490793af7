"""A version's artifacts on this machine's disk, fetched from the registry."""

import os
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from cloche.registry.permissions import refusal
from cloche.registry.version_digest import remove_bytecode
from cloche.registry.version_listing import files_of
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
    label = f"{version.name} version {version.version}"
    try:
        # Always a copy: where artifacts are local files, MLflow would hand out its own and write
        # into them.
        files = files_of(version.name, str(version.version))
        path = Path(files.download_artifacts("", os.fspath(folder)))
        remove_bytecode(path)
        if not (path / "MLmodel").is_file():  # stores of objects have no folders that could miss
            raise FileNotFoundError("MLmodel is not in the store")
        return Candidate(version, path, Model.load(os.fspath(path)))
    except (MlflowException, OSError) as error:
        raise RegistryError(f"{label} cannot be fetched: {refusal(error) or error}") from error
