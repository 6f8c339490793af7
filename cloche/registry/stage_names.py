"""What training and serving say alike of stages: how many, none, titles, the members of a chain."""

from pathlib import Path

import yaml

MOST_STAGES = 8  # before a version
NO_STAGE = "none"  # in place of a stage's URI: the version takes rows that are prepared already
MEMBERS = "members"  # the key of the versions' names in the MLmodel of a chain (`stage_chain.py`)


def title(name: str, number: str) -> str:
    """Return `NAME N`, for messages; what is outside the registry has no number."""
    return f"{name} {number}".rstrip()


def members(folder: Path) -> list[tuple[str, Path]]:
    """Return the name and the folder of each version of a chain, in the order of the rows.

    A folder that is no chain is that of one version, whose name is empty.
    """
    if not (folder / "0").is_dir():
        return [("", folder)]
    flavors = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]
    names = flavors["python_function"].get(MEMBERS) or ()
    # MLflow refuses files that a link leads to
    found = [(name, (folder / str(place)).resolve()) for place, name in enumerate(names)]
    return found or [("", folder)]
