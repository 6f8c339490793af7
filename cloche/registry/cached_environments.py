"""The names of environments in the cache, by which a process in one of them finds another.

`env_manager.py` builds them. This module is imported in environments that have only what a model
needs.
"""

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cloche.registry.installed_packages import CURRENT, PythonEnv, python_env

# The file of an environment that says which manager has built it, and the Python of versions that
# name none: that of the builder, which a process in another environment does not know.
COMPLETE = ".complete"
# A host needs only the packages of its model. Batch workers and the gate need these besides; the
# package `mlflow`, unlike `mlflow-skinny`, requires them.
_NEEDED = ("pyarrow", "threadpoolctl")


def interpreter_beside(artifacts: Path) -> str:
    """Return the interpreter of a version's environment, from an environment of the same cache.

    Empty if it is the current one, or the current one is not of a cache.
    """
    here = Path(sys.prefix)
    manager, _, python = _text(here / COMPLETE).partition(" ")
    if not manager:
        return ""
    _, name = environment_of(artifacts, manager, python=python)
    return "" if name == here.name else str(here.with_name(name) / "bin" / "python")


def environment_of(
    artifacts: Path, manager: str, also: Sequence[str] = (), *, python: str = CURRENT
) -> tuple[PythonEnv, str]:
    """Return a version's environment, with what Cloche needs in it, and the name of its folder.

    Args:
        artifacts: The folder of the version's artifacts.
        manager: `uv` or `virtualenv`.
        also: Additional requirements, as lines for pip.
        python: The version of Python if the version names none.
    """
    env = python_env(artifacts, python)
    named = "\n".join([*env.dependencies, _text(artifacts / "requirements.txt")])
    ours = (*_cloche_requirements(named), *_twin_requirements(artifacts), *also)
    env = replace(env, dependencies=(*env.dependencies, *ours))
    identity = "\n".join([manager, env.python, *env.build, "", *env.dependencies, named])
    return env, hashlib.sha256(identity.encode()).hexdigest()[:32]


def _cloche_requirements(requirements: str) -> list[str]:
    """Return the packages that Cloche's own processes need and `requirements` do not install."""
    named = {
        re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower()
        for line in requirements.splitlines()
    }
    return [] if "mlflow" in named else [one for one in _NEEDED if one not in named]


def _twin_requirements(artifacts: Path) -> list[str]:
    """Return the onnxruntime that the twin was proven with; the model's requirements lack it."""
    try:
        description = json.loads(_text(artifacts / "onnx" / "twin.json") or "{}")
        return [f"onnxruntime=={description['proof']['versions']['onnxruntime']}"]
    except (ValueError, KeyError, TypeError):
        return []  # no twin, or one that the host will refuse


def _text(file: Path) -> str:
    return file.read_text() if file.is_file() else ""
