"""`cloche build`: writes the build context of a version, and builds the image."""

import re
import shlex
import tempfile
from importlib.metadata import version
from pathlib import Path

import click

from cloche.cli.spinner import steps
from cloche.processes import quick_imports
from cloche.registry import env_manager
from cloche.serving.errors import SettingsError
from cloche.serving.image.container_engine import ENGINES, find
from cloche.serving.image.container_engine import build as build_image
from cloche.values.passwords import without_password

HELP = """Build an image that serves one version without a registry.

MODEL_URI is models:/NAME@production or any other MLflow model URI. Its version is downloaded now
and checked against the digest of its promotion; the image always serves this version. Docker,
Podman or Buildah builds the image from --base, an image with Cloche. Arguments after -- are passed
to their build command, like -- --platform linux/amd64. Any engine runs the image, also SageMaker
and Vertex AI. Without an engine, use --context-only and build the context on another machine.

\b
Example:
  cloche build models:/flight-delay@production --context-only flight-delay
"""


@click.command(
    help=HELP,
    short_help="Bake one version into an image.",
    context_settings={"auto_envvar_prefix": "CLOCHE_BUILD", "show_default": True},
)
@click.argument("model", metavar="MODEL_URI")
@click.argument("engine_options", nargs=-1, metavar="[-- ENGINE_OPTIONS...]")
@click.option("--tag", metavar="NAME:TAG", show_default="NAME:VERSION", help="The image's name.")
@click.option(
    "--base",
    metavar="IMAGE",
    default=lambda: f"cloche:{version('cloche')}",
    show_default="cloche:VERSION",
    help="The image with Cloche that it is made from.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    show_default="the first that works",
    help="What builds it.",
)
@click.option(
    "--context-only",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the build context there, and build nothing.",
)
@env_manager.cache_dir("cache_dir", "Where fetched versions are kept.")
def build(
    *,
    model: str,
    engine_options: tuple[str, ...],
    tag: str | None,
    base: str,
    engine: str | None,
    context_only: Path | None,
    cache_dir: Path,
) -> None:
    """Run the command; see HELP."""
    if context_only and (engine or tag or engine_options):
        raise SettingsError(
            "--context-only writes files and builds no image: leave out --engine, --tag, and what "
            "stands behind --, or leave out --context-only"
        )
    found = "" if context_only else find(engine or "")
    with tempfile.TemporaryDirectory() as temporary:
        folder = context_only or Path(temporary)
        with steps(f"pinning {without_password(model)}"):
            with quick_imports.without_collection():
                from cloche.serving.image.context import write  # noqa: PLC0415  # imports MLflow

            note = write(model, folder, base=base, cache_directory=cache_dir)
        which = f"{note.name} version {note.version}" if note.version else note.name
        if context_only:
            typed = f"docker build {shlex.quote(str(folder))}"
            click.echo(f"{folder}: {which}, digest {note.digest}. Build it: {typed}")
            return
        name = tag or _tag(note.name, note.version or note.digest[:12])
        build_image(found, folder, name, engine_options)
    click.echo(f"{name}: {which}, digest {note.digest}.")


def _tag(name: str, version: str) -> str:
    """Return the name of the image; engines allow fewer characters in names than MLflow."""
    allowed = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{allowed or 'model'}:{version}"
