"""A version's artifacts on the local disk, downloaded from the registry."""

import os
from collections.abc import Iterable
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
class StageVersion:
    """A version that prepares the rows of the one behind it.

    Attributes:
        name: Name of the registered model, or the URI of artifacts outside the registry.
        number: Number of the version; empty outside the registry.
        uri: URI that names exactly this version.
        digest: Digest of the artifacts; empty until they are fetched.
    """

    name: str
    number: str
    uri: str
    digest: str = ""

    @property
    def label(self) -> str:
        """`name N`, for people."""
        return f"{self.name} {self.number}".rstrip()


@dataclass(frozen=True)
class FetchedVersion:
    """A version on the local disk.

    Attributes:
        folder: Artifacts of the version; behind stages, those of all as one model.
        stages: Stages before the version, in the order of the rows.
        misfit: Why the version and its stages cannot be loaded as one model; empty if they can.
    """

    version: ModelVersion
    folder: Path
    model: Model
    stages: tuple[StageVersion, ...] = ()
    misfit: str = ""

    @property
    def number(self) -> str:
        """`N`, or `N after stage M`, for people."""
        return f"{self.version.version}{after(self.stages)}"

    @property
    def label(self) -> str:
        """`name version N`, with the stages before it, for people."""
        return f"{self.version.name} version {self.number}"


def after(stages: Iterable[StageVersion]) -> str:
    """Return ` after stage M`, for people; empty without stages."""
    labels = ", ".join(stage.label for stage in stages)
    return f" after {labels}" if labels else ""


def uris(stages: Iterable[StageVersion]) -> str:
    """Return the URIs of stages, as evidence runs have them."""
    return ", ".join(stage.uri for stage in stages)


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
