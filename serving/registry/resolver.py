"""Asks the registry which version stands behind a model URI, in one call per question."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_DOES_NOT_EXIST,
    ErrorCode,
)
from mlflow.tracking import MlflowClient

from cloche.registry.version_listing import versions_of, versions_with_alias
from cloche.serving.errors import RegistryUnreachable, VersionRefused
from cloche.serving.host.predictors.twin import ANY
from cloche.serving.registry import bundle_note
from cloche.serving.registry.error_messages import explain
from cloche.serving.registry.names import (
    ACCELERATED_DIGEST_TAG,
    ACCELERATED_TAG,
    DIGEST_TAG,
    OFF,
    ONNX,
    PRODUCTION,
    RETRY_TAG,
)
from cloche.serving.registry.uri import ModelUri, Reference

_ABSENT = {ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE)}
_NOTHING = (
    "no version stands behind it. cloche status lists what is there; cloche promote NAME puts a "
    f"version behind @{PRODUCTION}. Or name the registry that has it in MLFLOW_TRACKING_URI."
)


@dataclass(frozen=True, slots=True)
class ResolvedVersion:
    """The version behind a URI.

    Attributes:
        version: Its number; empty for artifacts outside the registry.
        artifacts: The URI of its artifacts; for people where there is a `model`.
        identity: Differs between any two versions, even when a registry was set up anew.
        revision: Changes whenever the version, its tags or its aliases change.
        digest: What its artifacts must hash to; empty when nobody wrote it down.
        twin: The digest of the accelerated twin that may answer for it: empty for none, ANY for
            artifacts outside the registry, where nobody could write one down.
        model: The name of the registered model; empty for artifacts outside the registry.
        retry: Whether a request whose host was lost may be given to another one.
    """

    version: str
    artifacts: str
    identity: str
    revision: str
    digest: str = ""
    twin: str = ""
    model: str = ""
    retry: bool = True


class Resolver:
    """One registry, connected to with the first question: a client needs its store to be there."""

    def __init__(self, connect: Callable[[], MlflowClient]) -> None:
        self._connect = connect
        self._connected: MlflowClient | None = None
        self._connecting = threading.Lock()

    @property
    def client(self) -> MlflowClient:
        """Of the registry."""
        with self._connecting:  # a new store is set up by whoever asks first; two at once collide
            if self._connected is None:
                client = self._connect()
                if not mlflow.get_registry_uri().startswith("http"):  # servers are set up
                    client.search_registered_models(max_results=1)
                self._connected = client
            return self._connected

    def resolve(self, uri: ModelUri) -> ResolvedVersion:
        """The version that stands behind `uri` now.

        Raises:
            VersionRefused: Nothing stands behind it.
            RegistryUnreachable: The registry does not answer.
        """
        if uri.reference is Reference.ARTIFACTS:
            return _outside(uri.text)
        with translated(uri.text):
            return _target(self._find(uri))

    def versions_with_alias(self, alias: str) -> dict[str, str]:
        """Name of each registered model that has `alias` → number of the version behind it.

        Raises:
            RegistryUnreachable: The registry does not answer, or cannot list them.
        """
        with translated(f"the models with alias {alias}"):
            return versions_with_alias(self.client, alias)

    def _find(self, uri: ModelUri) -> ModelVersion:
        name = uri.model
        if uri.reference is Reference.ALIAS:
            return self.client.get_model_version_by_alias(name, uri.value)
        if uri.reference is Reference.VERSION:
            return self.client.get_model_version(name, uri.value)
        versions = versions_of(self.client, name)
        if uri.reference is Reference.STAGE:
            versions = [v for v in versions if (v.current_stage or "").lower() == uri.value.lower()]
        if not versions:
            raise VersionRefused(f"{uri.text}: {_NOTHING}")
        return versions[0]


@contextmanager
def translated(subject: str) -> Iterator[None]:
    """Translate MLflow's errors.

    What is absent is refused, everything else means an unreachable registry.
    """
    try:
        yield
    except VersionRefused:
        raise
    except MlflowException as error:
        if error.error_code in _ABSENT:
            raise VersionRefused(f"{subject}: {_NOTHING}") from error
        raise RegistryUnreachable(f"{subject}: {explain(error)}") from error
    except Exception as error:
        reason = str(error).partition("\n")[0]  # a database error goes on with the statement
        raise RegistryUnreachable(f"{subject}: {type(error).__name__}: {reason}") from error


def _outside(artifacts: str) -> ResolvedVersion:
    """Artifacts outside the registry; a note beside them says which version they were in it."""
    if not urlsplit(artifacts).scheme and not Path(artifacts).is_dir():
        raise VersionRefused(f"{artifacts}: there is no such folder any more.")
    note = bundle_note.read(Path(artifacts))
    if note is None:
        return ResolvedVersion("", artifacts, artifacts, artifacts, twin=ANY)
    identity = "/".join([note.name, note.version, note.digest, note.twin])
    return ResolvedVersion(
        note.version, artifacts, identity, identity, note.digest, note.twin, retry=note.retry
    )


def _target(found: ModelVersion) -> ResolvedVersion:
    tags = dict(found.tags)
    accelerated = tags.get(ACCELERATED_TAG) == ONNX
    twin = tags.get(ACCELERATED_DIGEST_TAG, "") if accelerated else ""
    # a version that is given a twin is loaded anew, as another one would be
    identity = "/".join([found.name, str(found.version), str(found.creation_timestamp), twin])
    changing = json.dumps([identity, sorted(tags.items()), sorted(found.aliases)])
    return ResolvedVersion(
        version=str(found.version),
        artifacts=f"models:/{found.name}/{found.version}",
        identity=identity,
        revision=hashlib.sha256(changing.encode()).hexdigest(),
        digest=tags.get(DIGEST_TAG, ""),
        twin=twin,
        model=found.name,
        retry=tags.get(RETRY_TAG) != OFF,
    )
