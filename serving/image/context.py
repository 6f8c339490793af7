"""The build context of an image: a version's artifacts, the note with its identity, a Dockerfile.

A context is independent of the build engine, and needs no registry when the image is built.
"""

import json
import shutil
from pathlib import Path

from mlflow.tracking import MlflowClient

from cloche.registry.version_digest import digest_tree
from cloche.serving.errors import SettingsError
from cloche.serving.registry.cache import Cache, registry_name
from cloche.serving.registry.fetch import fetch
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse
from cloche.serving.registry.version_note import Note

_DOCKERFILE = """\
# syntax=docker/dockerfile:1
# Written by cloche build, and built from this directory alone. The base has Cloche; packages that
# the version was logged with and the base lacks are added, and the image is not built if the
# version cannot be loaded in it.
FROM {base}
COPY model /srv/model
USER 0:0
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \\
    --mount=type=secret,id=ca.pem,target=/etc/pip.ca.pem \\
    ["/opt/cloche/bin/python", "-Pm", "cloche.serving.image.install_requirements", "/srv/model"]
USER 10001:10001
RUN --mount=type=tmpfs,target=/var/cache/cloche \\
    ["/opt/cloche/bin/python", "-Pm", "cloche.serving.image.load_check", "/srv/model"]
ENV CLOCHE_SERVE_MODELS=/srv/model
LABEL cloche.model={name} cloche.version={version} cloche.digest={digest}
"""


def write(uri: str, folder: Path, *, base: str, cache_directory: Path) -> Note:
    """Write the build context for the version to which `uri` resolves now; return its note.

    Raises:
        ModelUriError: `uri` is not a model URI.
        SettingsError: `folder` is not empty.
        VersionRefused: `uri` resolves to no version, or its artifacts were altered since promotion.
        RegistryUnreachable: The registry or the artifact store does not answer.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(
            f"{folder} is not empty. Name a directory that does not exist yet: --context-only NEW"
        )
    parsed = parse(uri)
    target = Resolver(MlflowClient).resolve(parsed)
    artifacts = fetch(target, Cache(cache_directory, registry_name()))
    digest = target.digest or digest_tree(artifacts)
    note = Note(parsed.name, target.version, digest, target.twin, target.retry)
    model = folder / "model"
    shutil.copytree(artifacts, model, ignore=shutil.ignore_patterns("__pycache__"))
    note.write(model)
    _let_everybody_read(model)
    (folder / "Dockerfile").write_text(
        _DOCKERFILE.format(
            base=base,
            name=_quoted(note.name),
            version=_quoted(note.version),
            digest=_quoted(note.digest),
        )
    )
    return note


def _let_everybody_read(model: Path) -> None:
    """Make the artifacts readable for all users: the image serves as a user of its own."""
    model.chmod(0o755)
    for path in model.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _quoted(text: str) -> str:
    """Quote a value for a Dockerfile, and escape `$`, which would begin a variable."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")
