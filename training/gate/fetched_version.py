"""A version's artifacts on the local disk, downloaded from the registry."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from cloche.registry.permissions import explain_refusal
from cloche.registry.stage_names import title
from cloche.registry.version_digest import remove_bytecode
from cloche.registry.version_listing import files_of
from cloche.training.errors import RegistryError


@dataclass(frozen=True)
class StageVersion:
    """A version that prepares the rows of the next one.

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
        """`NAME N`, for people."""
        return title(self.name, self.number)


@dataclass(frozen=True)
class FetchedVersion:
    """A version on the local disk, alone or after its stages.

    Attributes:
        version: The version, without its stages.
        folder: Artifacts of the version; after stages, of the chain of all (`write_chain`).
        model: What the MLmodel in `folder` says; after stages, of the chain.
        stages: Stages before the version, in the order of the rows.
        misfit: Why the version and its stages cannot be loaded as one model; empty if they can.
    """

    version: ModelVersion
    folder: Path
    model: Model
    stages: tuple[StageVersion, ...] = ()
    misfit: str = ""

    @property
    def number_with_stages(self) -> str:
        """`N`, or `N after NAME M`, for people."""
        return f"{self.version.version}{after(self.stages)}"

    @property
    def label(self) -> str:
        """`NAME version N`, with the stages before it, for people."""
        return f"{self.version.name} version {self.number_with_stages}"


def after(stages: Iterable[StageVersion]) -> str:
    """Return ` after NAME M, …`, for people; empty without stages."""
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


def read_mlmodel(name: str, number: str) -> Model | None:
    """Download the MLmodel of a version alone; None if it cannot be read."""
    try:
        with TemporaryDirectory(prefix="cloche-") as folder:
            files = files_of(name, number)
            return Model.load(files.download_artifacts("MLmodel", folder))
    except (MlflowException, OSError):
        return None
