"""The versions of a chain, from its folder; `stage_chain.py` writes it. It imports no MLflow."""

from pathlib import Path

import yaml

MEMBERS = "members"  # the key of the versions' names in the chain's MLmodel


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
