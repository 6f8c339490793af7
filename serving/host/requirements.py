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
    try:
        lines = (path / "requirements.txt").read_text().splitlines()
    except OSError:
        return []
    return [
        f"{wanted} (installed: {found or 'nothing'})"
        for wanted, found in _installed(lines)
        if not found or not wanted.specifier.contains(found, prereleases=True)
    ]


def _installed(lines: list[str]) -> Iterator[tuple[Requirement, str]]:
    for line in lines:
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
