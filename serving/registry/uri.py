"""Model URIs that can be followed: which ones move, and by which name a model is served.

It asks no registry. Behind `models:/` nothing is decoded, as MLflow decodes nothing there.
"""

import enum
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from cloche.serving.errors import ModelUriError
from cloche.serving.registry import pinned

# What MLflow's artifact repositories are registered for, see `mlflow.store.artifact`.
_STORES = frozenset(
    {"abfss", "b2", "dbfs", "file", "ftp", "gs", "hdfs", "http", "https", "mlflow-artifacts", "r2"}
    | {"runs", "s3", "sftp", "viewfs", "wasbs"}
)


class Reference(enum.StrEnum):
    """How a URI names a version."""

    ALIAS = "alias"
    STAGE = "stage"
    LATEST = "latest"
    VERSION = "version"
    ARTIFACTS = "artifacts"  # a path, a run or a logged model: outside the registry, never changes


@dataclass(frozen=True, slots=True)
class ModelUri:
    """A parsed model URI.

    Attributes:
        text: The URI as it was given, without the `NAME=` before it.
        name: By which name the model is served.
        reference: How the version is named.
        value: The alias, stage or version; empty for `LATEST` and `ARTIFACTS`.
        model: The name of the registered model; empty for `ARTIFACTS`.
    """

    text: str
    name: str
    reference: Reference
    value: str = ""
    model: str = ""

    @property
    def moves(self) -> bool:
        """Whether another version can stand behind it later."""
        return self.reference in (Reference.ALIAS, Reference.STAGE, Reference.LATEST)


def parse(text: str) -> ModelUri:
    """Read a model URI, optionally given as `NAME=URI`.

    Raises:
        ModelUriError: It is no model URI.
        VersionRefused: It is a folder whose note of its version cannot be read.
    """
    head = re.split("[/:]", text, maxsplit=1)[0]  # names have neither
    name, _, start = head.rpartition("=")
    uri = start + text.removeprefix(head)
    if not uri:
        raise ModelUriError("An empty model URI. Give one like models:/NAME@production.")
    if uri.startswith("models:/"):
        return _registered(uri, name)
    scheme = "" if Path(uri).is_dir() else urlsplit(uri).scheme
    if scheme and scheme not in _STORES:
        raise ModelUriError(
            f"{uri}: no artifact store is called {scheme!r}. Give a path, or a URI like "
            "models:/NAME@production, runs:/RUN/model or s3://BUCKET/NAME."
        )
    if not scheme and not Path(uri).is_dir():
        raise ModelUriError(
            f"{uri}: there is no such folder. Give the folder that holds MLmodel, or a URI like "
            "models:/NAME@production."
        )
    note = None if scheme else pinned.read(Path(uri))
    path = urlsplit(uri).path if scheme else uri
    return ModelUri(uri, name or (note.name if note else _last_part(path)), Reference.ARTIFACTS)


def with_alias(model: str, alias: str) -> ModelUri:
    """The URI of the version of a registered model that has an alias."""
    return ModelUri(f"models:/{model}@{alias}", model, Reference.ALIAS, alias, model)


def is_a_name(model: str) -> bool:
    """Whether MLflow and URLs can name a registered model so; registries of old have others."""
    return not {"/", ":"}.intersection(model) and model != "." and not model.startswith("..")


def _registered(uri: str, name: str) -> ModelUri:
    rest = uri.removeprefix("models:/").strip("/")
    model, slash, value = rest.rpartition("/")
    if not slash:
        model, at, alias = rest.rpartition("@")
        if at:
            if not model or not alias:
                raise ModelUriError(f"{uri}: give it as models:/NAME@ALIAS.")
            return ModelUri(uri, name or model, Reference.ALIAS, alias, model)
        if rest.startswith("m-"):  # a logged model, outside the registry
            return ModelUri(uri, name or rest, Reference.ARTIFACTS)
        if not rest:
            raise ModelUriError(f"{uri}: it names no model. Give one like models:/NAME@production.")
        plain = f"models:/{rest}"
        raise ModelUriError(
            f"{uri}: say which version: {plain}@production, {plain}/latest or {plain}/7."
        )
    if value.isdecimal():
        return ModelUri(uri, name or model, Reference.VERSION, value, model)
    if value.lower() == "latest":
        return ModelUri(uri, name or model, Reference.LATEST, model=model)
    return ModelUri(uri, name or model, Reference.STAGE, value, model)


def _last_part(path: str) -> str:
    parts = PurePosixPath(path).parts
    named = [part for part in parts if part not in ("/", "artifacts", "model")]
    if not named:
        raise ModelUriError(f"{path}: no name can be taken from it. Give one: NAME=URI")
    return named[-1]
