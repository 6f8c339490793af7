"""Whether this environment is the one that a version was logged with.

MLflow warns of that when it loads a model, and takes longer for it than for the rest of a load: it
looks at every file of every installed package.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml
from packaging.requirements import InvalidRequirement, Requirement


def mismatches(path: Path) -> list[str]:
    """What the model at `path` was logged with and is not met here, each with what is."""
    logged, here = python_version(path), ".".join(map(str, sys.version_info[:2]))
    python = [f"Python {logged} (installed: {here})"] if logged != here else []
    return python + [
        f"{wanted} (installed: {found or 'nothing'})"
        for wanted, found in _installed(path)
        if not found or not wanted.specifier.contains(found, prereleases=True)
    ]


def absent(path: Path) -> list[str]:
    """The requirements of the model at `path` whose package is not here in any version."""
    return [str(wanted) for wanted, found in _installed(path) if not found]


def python_version(artifacts: Path) -> str:
    """Major and minor of the Python of a version: whatever patch release is there will do."""
    file, stated = artifacts / "python_env.yaml", None
    if file.is_file():
        with suppress(yaml.YAMLError):  # MLflow reads it only to build an environment
            stated = yaml.safe_load(file.read_text())
    python = stated.get("python") if isinstance(stated, dict) else None
    version = str(python or ".".join(map(str, sys.version_info[:2])))
    return ".".join(version.split(".")[:2])


def _installed(path: Path) -> Iterator[tuple[Requirement, str]]:
    """Each requirement of a model, and the version that is here; empty for none."""
    file = path / "requirements.txt"
    for line in file.read_text().splitlines() if file.is_file() else ():
        try:
            wanted = Requirement(line)
        except InvalidRequirement:  # an option of pip, a path, a comment
            continue
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            yield wanted, version(wanted.name)
        except PackageNotFoundError:
            yield wanted, ""
