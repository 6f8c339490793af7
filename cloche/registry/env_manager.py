"""Python environments that are built from the requirements that versions were logged with.

There is one environment for each list of requirements, cached by the list's content. Serving, batch
jobs and the gate run a version in the same environment if they use the same manager and cache.
"""

import contextlib
import fcntl
import importlib.util
import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import click
from packaging.requirements import Requirement

from cloche.processes.child_variables import for_builds
from cloche.processes.private_folders import make_private
from cloche.registry.cached_environments import COMPLETE, environment_of
from cloche.registry.installed_packages import CURRENT, PythonEnv, python_version
from cloche.registry.stage_names import members
from cloche.values.progress import Say

LOCAL = "local"
_OLDEST = (3, 11)  # the oldest Python that runs the code of batch workers and of the gate
_logger = logging.getLogger(__name__)


class NotBuilt(Exception):
    """An environment cannot be built; the message gives the reason."""


class ManagerMissing(Exception):
    """The tool that builds environments is not installed; the message says how to install it."""


def default_cache() -> Path:
    """Return the default folder for fetched versions and environments.

    It is in the user's cache folder or, in a container whose home is missing or read-only, a
    folder of this user among the temporary files.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError, OSError):  # there is no home, or it may not be entered
        usual = (Path(base) if base else Path.home() / ".cache") / "cloche"
        existing = next(folder for folder in (usual, *usual.parents) if folder.exists())
        if os.access(existing, os.W_OK | os.X_OK):
            return usual
    temporary = Path(tempfile.gettempdir()) / f"cloche-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        temporary.mkdir(mode=0o700)
    there = temporary.lstat()
    ours = stat.S_ISDIR(there.st_mode) and there.st_uid == os.getuid()
    return temporary if ours else Path(tempfile.mkdtemp(prefix="cloche-"))


def option(command: str) -> Callable[[Any], Any]:
    """Return the option `--env-manager` for a command that runs versions."""
    return click.option(
        "--env-manager",
        envvar=[f"CLOCHE_{command.upper()}_ENV_MANAGER", "CLOCHE_ENV_MANAGER"],
        default=LOCAL,
        show_default=True,
        type=click.Choice([LOCAL, "uv", "virtualenv"]),
        help="Where versions run: here, or in an environment of the Python and the requirements "
        "that each was logged with, built by uv or virtualenv, which must be installed (pip "
        "install uv). CLOCHE_ENV_MANAGER sets it for serve, score, promote and accelerate.",
    )


def cache_dir(parameter: str, text: str) -> Callable[[Any], Any]:
    """Return the option `--cache-dir`, whose value a command gets as `parameter`."""
    return click.option(
        "--cache-dir",
        parameter,
        type=click.Path(file_okay=False, path_type=Path),
        default=default_cache,
        show_default="~/.cache/cloche",
        help=text,
    )


def host_env(command: str) -> Callable[[Any], Any]:
    """Return the option `--host-env` for a command that runs versions."""
    return click.option(
        "--host-env",
        envvar=f"CLOCHE_{command.upper()}_HOST_ENV",
        multiple=True,
        metavar="NAME",
        help="Give models this variable of the environment; NAME* for all that begin so. "
        "May be repeated; SECURITY.md has what they get anyway.",
    )


def extra_requirements(name: str) -> list[str]:
    """Return the requirements of an extra of Cloche, as lines for pip."""
    asked = map(Requirement, requires("cloche") or ())
    return [
        str(one).partition(";")[0].strip()
        for one in asked
        if one.marker and one.marker.evaluate({"extra": name}) and not one.marker.evaluate()
    ]


def interpreter(
    artifacts: Path,
    manager: str,
    cache: Path,
    say: Say,
    *,
    also: Sequence[str] = (),
) -> str:
    """Return the interpreter that runs the version at `artifacts`; empty for the current one.

    Of a chain, each version gets its environment, and the interpreter is that of the last one. It
    finds those of the others by `cached_environments.interpreter_beside`.

    Args:
        artifacts: The folder of the version's artifacts, or of a chain.
        manager: `local`, `uv` or `virtualenv`.
        cache: The folder for versions and environments.
        say: Called with a message before an environment is built, which takes a while.
        also: Additional requirements, as lines for pip.

    Raises:
        NotBuilt: A version's Python is too old, or its environment cannot be built.
    """
    python = ""
    for name, folder in members(artifacts) if manager != LOCAL else ():
        try:
            python = _interpreter(folder, manager, cache, say, also)
        except NotBuilt as error:
            raise NotBuilt(f"{name}: {error}" if name else str(error)) from error
    return python


def _interpreter(artifacts: Path, manager: str, cache: Path, say: Say, also: Sequence[str]) -> str:
    python = python_version(artifacts)
    if tuple(map(int, python.split("."))) < _OLDEST:
        raise NotBuilt(
            f"It was logged with Python {python}, and Cloche runs on {_OLDEST[0]}.{_OLDEST[1]} or "
            "later. Log it with a later one, or leave --env-manager out."
        )
    return str(build(artifacts, manager, cache, say, also=also))


def build(
    artifacts: Path,
    manager: str,
    cache: Path,
    say: Say = _logger.info,
    *,
    also: Sequence[str] = (),
) -> Path:
    """Return the interpreter of the version's environment, which is built if it is not cached.

    Args:
        artifacts: The version's artifacts, with `requirements.txt` and `python_env.yaml`.
        manager: `uv` or `virtualenv`.
        cache: The folder for versions and environments.
        say: Called with a message before the environment is built.
        also: Additional requirements, as lines for pip.

    Raises:
        NotBuilt: The environment cannot be built.
    """
    env, key = environment_of(artifacts, manager, also)
    place = cache.absolute() / "environments" / key  # the installer has another working directory
    make_private(place.parent)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be building the same environment
        complete = place / COMPLETE
        if not complete.exists():
            shutil.rmtree(place, ignore_errors=True)
            say(f"Building an environment with {manager} for Python {env.python}.")
            _make(manager, env, place, artifacts)
            complete.touch()
        if complete.read_text() != (built := f"{manager} {CURRENT}"):  # also of an older release
            complete.write_text(built)
    return place / "bin" / "python"


def tool_command(manager: str) -> list[str]:
    """Return the command that runs `manager`, which is `uv` or `virtualenv`.

    Raises:
        ManagerMissing: The manager is not installed.
    """
    if found := shutil.which(manager):
        return [found]
    if importlib.util.find_spec(manager) is None:
        raise ManagerMissing(
            f"--env-manager {manager}: {manager} is not installed here: pip install {manager}"
        )
    return [sys.executable, "-Pm", manager]


def _make(manager: str, env: PythonEnv, place: Path, artifacts: Path) -> None:
    """Build the environment as MLflow does: Python, then build tools, then dependencies."""
    interpreter = str(place / "bin" / "python")
    command = tool_command(manager)
    if manager == "uv":
        _run(*command, "venv", "--quiet", "--python", env.python, str(place))
        install = [*command, "pip", "install", "--quiet", "--python", interpreter]
    else:
        hint = f"virtualenv needs Python {env.python} on this machine; --env-manager uv fetches it."
        _run(*command, "--quiet", "--python", env.python, str(place), hint=hint)
        install = [interpreter, "-Im", "pip", "install", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        for file in artifacts.iterdir():  # requirements may refer to files beside the model
            (Path(folder) / file.name).symlink_to(file.resolve())
        for lines in filter(None, (env.build, env.dependencies)):
            listed = Path(folder) / f"requirements.{uuid.uuid4().hex}.txt"
            listed.write_text("\n".join(lines))
            _run(*install, "-r", str(listed), folder=folder)


def _run(*command: str, folder: str | None = None, hint: str = "") -> None:
    own = {name: value for name, value in for_builds(os.environ).items() if name != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603
        command, env=own, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise NotBuilt(
            f"Its environment cannot be built; {' '.join(command)} says: {reason} {hint}".rstrip()
        )
