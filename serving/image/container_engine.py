"""The program that builds an image from a context: Docker, Podman or Buildah."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cloche.serving.errors import BuildFailed, SettingsError

ENGINES = ("docker", "podman", "buildah")


def find(name: str = "") -> str:
    """Return the engine `name`; without a name, the first engine that is installed and works.

    Raises:
        SettingsError: The engine is not installed, or no engine works.
    """
    if name:
        if shutil.which(name) is None:
            raise SettingsError(
                f"--engine {name}: PATH has no program {name}. Install it, or leave --engine out."
            )
        return name
    for engine in ENGINES:
        if shutil.which(engine) and _works(engine):
            return engine
    raise SettingsError(
        "Docker, Podman or Buildah is needed, and none works here. Install one, and start it where "
        "it is Docker; or write the build context with --context-only DIR, and build it on another "
        "machine: docker build DIR"
    )


def build(engine: str, context: Path, tag: str, options: Sequence[str]) -> None:
    """Build the image `tag` from `context`; the engine prints its own progress.

    Raises:
        BuildFailed: The engine ended with an error.
    """
    command = [engine, "build", "--file", str(context / "Dockerfile"), "--tag", tag, *options]
    done = subprocess.run([*command, str(context)], check=False)  # noqa: S603
    if done.returncode:
        raise BuildFailed(
            f"{engine} could not build {tag} (exit code {done.returncode}); it says why above. If "
            "it lacks the base image, build that first, as deploy/README.md says, or name one that "
            "it has: --base IMAGE"
        )


def _works(engine: str) -> bool:
    """Whether the engine works; Docker's client may be installed without a running daemon."""
    if engine != "docker":
        return True
    asked = [engine, "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0  # noqa: S603
