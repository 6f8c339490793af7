"""Compares this environment with the one that a version was logged with.

MLflow warns of differences when it loads a model, but that check takes longer than the rest of the
load, because it looks at every file of every installed package.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement

from cloche.registry.stage_names import members

CURRENT = ".".join(map(str, sys.version_info[:2]))  # the version of Python of this process
_FILE = "-r requirements.txt"
_OF_CONDA = re.compile(r"(python|pip|setuptools|wheel)(<=|>=|==|!=|<|>|=)?([\d.]+)?$")


def mismatches(path: Path) -> list[str]:
    """List the Python and the requirements of a model or chain that this environment lacks."""
    return list(dict.fromkeys(one for _, each in members(path) for one in _mismatches(each)))


def _mismatches(path: Path) -> list[str]:
    logged = python_version(path)
    python = [f"Python {logged} (installed: {CURRENT})"] if logged != CURRENT else []
    return python + [
        f"{wanted} (installed: {found or 'nothing'})"
        for wanted, found in _installed(path)
        if not found or not wanted.specifier.contains(found, prereleases=True)
    ]


def missing_packages(path: Path) -> list[str]:
    """List the requirements of the model at `path` whose package is not installed at all."""
    return [str(wanted) for wanted, found in _installed(path) if not found]


@dataclass(frozen=True, slots=True)
class PythonEnv:
    """The environment that a version was logged with.

    Attributes:
        python: The major and minor version of Python; any patch release is accepted.
        build: The build tools pip, setuptools and wheel, as lines for pip; installed first.
        dependencies: The other packages, as lines for pip; files they name lie beside the model.
    """

    python: str
    build: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()


def python_env(artifacts: Path, python: str = CURRENT) -> PythonEnv:
    """Read the environment of a version from the files that MLflow uses to build it.

    These are `python_env.yaml` or, in versions logged before MLflow 1.26, `conda.yaml`.

    Args:
        artifacts: The folder of the version's artifacts.
        python: The version of Python if the files name none.
    """
    stated = _yaml(artifacts / "python_env.yaml")
    by_conda = not stated
    if by_conda:
        stated = _of_conda(_yaml(artifacts / "conda.yaml"))
    dependencies = _texts(stated.get("dependencies"))
    if (by_conda or not dependencies) and (artifacts / "requirements.txt").is_file():
        dependencies = [_FILE]
    python = str(stated.get("python") or python)
    return PythonEnv(
        ".".join(python.split(".")[:2]),
        tuple(_texts(stated.get("build_dependencies"))),
        tuple(dependencies),
    )


def python_version(artifacts: Path) -> str:
    """Return the major and minor version of Python that a version was logged with."""
    return python_env(artifacts).python


def _of_conda(stated: dict[str, Any]) -> dict[str, Any]:
    """Convert a conda environment; of conda's packages only Python and build tools count."""
    found: dict[str, Any] = {"build_dependencies": [], "dependencies": []}
    for one in stated.get("dependencies") or ():
        if isinstance(one, dict):
            found["dependencies"] += _texts(one.get("pip"))
        elif known := _OF_CONDA.match(str(one)):
            package, operator, version = known.groups(default="")
            if package == "python":
                found["python"] = found.get("python") or version
            else:
                pinned = "==" if operator == "=" else operator
                found["build_dependencies"].append(f"{package}{pinned}{version}")
    return found


def _yaml(file: Path) -> dict[str, Any]:
    found = None
    if file.is_file():
        with suppress(yaml.YAMLError):  # a model loads without this file
            found = yaml.safe_load(file.read_text())
    return found if isinstance(found, dict) else {}


def _texts(found: Any) -> list[str]:
    return [str(one) for one in found] if isinstance(found, list) else []


def _installed(path: Path) -> Iterator[tuple[Requirement, str]]:
    """Yield each requirement of a model with the installed version; empty if not installed."""
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
