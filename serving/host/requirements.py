"""Whether this environment holds what a version was logged with.

MLflow warns of that when it loads a model, and takes longer for it than for the rest of a load: it
looks at every file of every installed package.
"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement


def mismatches(path: Path) -> list[str]:
    """The requirements of the model at `path` that are not met here, each with what is."""
    return [
        f"{wanted} (installed: {found or 'nothing'})"
        for wanted, found in _installed(path)
        if not found or not wanted.specifier.contains(found, prereleases=True)
    ]


def absent(path: Path) -> list[str]:
    """The requirements of the model at `path` whose package is not here in any version."""
    return [str(wanted) for wanted, found in _installed(path) if not found]


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
