"""Python environments made from the requirements that versions were logged with.

Cached by content.
"""

import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from cloche.environment import for_builds
from cloche.serving.errors import SettingsError, VersionRefused

_COMPLETE = ".complete"
_logger = logging.getLogger(__name__)


def build(artifacts: Path, manager: str, directory: Path) -> Path:
    """The interpreter of the environment for the version at `artifacts`, built unless it is there.

    Args:
        artifacts: The version's artifacts, with `requirements.txt` and `python_env.yaml`.
        manager: `uv` or `virtualenv`.
        directory: Where environments are kept.

    Raises:
        VersionRefused: It cannot be built.
    """
    requirements = "\n".join([_text(artifacts / "requirements.txt"), *_for_the_twin(artifacts)])
    python = _python_version(artifacts)
    key = hashlib.sha256(f"{manager}\n{python}\n{requirements}".encode()).hexdigest()[:32]
    place = directory / key
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another server may be building the same
        if not (place / _COMPLETE).exists():
            shutil.rmtree(place, ignore_errors=True)
            _logger.info("Building an environment with %s for Python %s.", manager, python)
            _make(manager, python, place, artifacts)
            (place / _COMPLETE).touch()
    return place / "bin" / "python"


def tool(manager: str) -> list[str]:
    """The command of `manager`, which is `uv` or `virtualenv`.

    Raises:
        SettingsError: It is not installed.
    """
    if found := shutil.which(manager):
        return [found]
    if importlib.util.find_spec(manager) is None:
        raise SettingsError(
            f"--env-manager {manager}: {manager} is not installed here: pip install {manager}"
        )
    return [sys.executable, "-Pm", manager]


def _make(manager: str, python: str, place: Path, artifacts: Path) -> None:
    interpreter = str(place / "bin" / "python")
    requirements = ["-r", str(artifacts / "requirements.txt"), *_for_the_twin(artifacts)]
    command = tool(manager)
    if manager == "uv":
        _run(*command, "venv", "--quiet", "--python", python, str(place))
        _run(*command, "pip", "install", "--quiet", "--python", interpreter, *requirements)
    else:
        _run(*command, "--quiet", "--python", python, str(place))
        _run(interpreter, "-Im", "pip", "install", "--quiet", *requirements)


def _for_the_twin(artifacts: Path) -> list[str]:
    """What the accelerated twin was proven with; a model's own requirements do not name it."""
    try:
        description = json.loads(_text(artifacts / "onnx" / "twin.json") or "{}")
        return [f"onnxruntime=={description['proof']['versions']['onnxruntime']}"]
    except (ValueError, KeyError, TypeError):
        return []  # no twin, or one that the host will refuse


def _run(*command: str) -> None:
    own = {name: value for name, value in for_builds(os.environ).items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise VersionRefused(
            f"Its environment cannot be built; {' '.join(command)} says: {said} "
            "(virtualenv needs the Python that the version was logged with on this machine; "
            "uv fetches one.)"
        )


def _python_version(artifacts: Path) -> str:
    """Major and minor: whatever patch release is there will do."""
    stated = yaml.safe_load(_text(artifacts / "python_env.yaml") or "{}").get("python")
    version = str(stated or ".".join(map(str, sys.version_info[:2])))
    return ".".join(version.split(".")[:2])


def _text(file: Path) -> str:
    return file.read_text() if file.is_file() else ""
