"""Parsing of model URIs: which version a URI names, and under which name the model is served.

The parser queries no registry. It decodes no percent-encoding after `models:/`, as MLflow does not.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from cloche.serving.errors import ModelUriError
from cloche.serving.registry import version_note

# The schemes for which MLflow has artifact repositories, see `mlflow.store.artifact`.
_STORES = frozenset(
    {"abfss", "b2", "dbfs", "file", "ftp", "gs", "hdfs", "http", "https", "mlflow-artifacts", "r2"}
    | {"runs", "s3", "sftp", "viewfs", "wasbs"}
)


class Reference(enum.StrEnum):
    """The way in which a URI names a version."""

    ALIAS = "alias"
    STAGE = "stage"
    LATEST = "latest"
    VERSION = "version"
    ARTIFACTS = "artifacts"  # a path, a run or a logged model: outside the registry, never changes


@dataclass(frozen=True, slots=True)
class ModelUri:
    """A parsed model URI.

    Attributes:
        text: The URI as it was given, without the prefix `NAME=`.
        name: The name under which the model is served.
        reference: The way in which the URI names the version.
        value: The alias, stage or version; empty for `LATEST` and `ARTIFACTS`.
        model: The name of the registered model; empty for `ARTIFACTS`.
        before: The URI of the stage before the model, whatever the version's tag says; NO_STAGE for
            none, empty to go by the tag.
    """

    text: str
    name: str
    reference: Reference
    value: str = ""
    model: str = ""
    before: str = ""

    @property
    def cache_key(self) -> str:
        """The text under which the cache records what serves for the URI."""
        return f"{self.before} {self.text}" if self.before else self.text

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ModelUri":
        """Create what `asdict` has made a JSON object of."""
        return cls(**{**fields, "reference": Reference(fields["reference"])})


def parse(text: str) -> ModelUri:
    """Parse a model URI, optionally given as `NAME=URI`.

    Raises:
        ModelUriError: The text is not a model URI.
        VersionRefused: The URI is a folder with a note (`version_note`) that cannot be read.
    """
    head = re.split("[/:]", text, maxsplit=1)[0]  # a name contains neither character
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
    note = None if scheme else version_note.read(Path(uri))
    path = urlsplit(uri).path if scheme else uri
    return ModelUri(uri, name or (note.name if note else _last_part(path)), Reference.ARTIFACTS)


def with_alias(model: str, alias: str) -> ModelUri:
    """Return the URI of a registered model's version with an alias."""
    return ModelUri(f"models:/{model}@{alias}", model, Reference.ALIAS, alias, model)


def is_valid_name(model: str) -> bool:
    """Whether MLflow and URLs accept the name of a registered model.

    Registries of older MLflow versions may hold other names.
    """
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
