"""The environment of a run: code, packages and machine, so that others can reproduce it."""

import os
import platform
import subprocess
from importlib.metadata import distributions
from typing import Any


def git_state() -> dict[str, str]:
    """Return the working directory's commit and whether it was modified; empty if not in git."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    return {"commit": commit, "modified": str(bool(_git("status", "--porcelain"))).lower()}


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603 (fixed arguments)
            ["git", *arguments],  # noqa: S607 (the user's own git)
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def installed_packages() -> str:
    """Return every installed distribution as `name==version`, one on each line, sorted."""
    described = (found.metadata for found in distributions())  # each access reads the file again
    names = {f"{one['Name']}=={one['Version']}" for one in described if one["Name"]}
    return "".join(f"{name}\n" for name in sorted(names, key=str.lower))


def machine() -> dict[str, Any]:
    """Return Python, operating system, processor and number of cores, but no host or user name."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cores": os.cpu_count(),
    }
