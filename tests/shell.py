"""A user's shell: the installed command, an empty working directory, and stock MLflow beside it."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests import warm
from tests.shelf import copy_empty_store

# What a line leaves running would hold its output open, and the test with it.
_END_JOBS = "kill $(jobs -p) 2>/dev/null || true"

Shell = Callable[..., subprocess.CompletedProcess[str]]


def environment() -> dict[str, str]:
    """Our variables without any that would point MLflow elsewhere, our own programs first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    ours = [str(warm.programs()), str(Path(sys.executable).parent)]
    return kept | {"PATH": os.pathsep.join([*ours, kept["PATH"]])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory, in which MLflow's default store is made."""
    path = tmp_path_factory.mktemp("work")
    copy_empty_store(path / "mlflow.db")
    return path


@pytest.fixture(scope="module")
def shell(folder: Path) -> Shell:
    """Run a command line as a user would; it must exit with `code`."""

    def run(line: str, *, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"trap '{_END_JOBS}' EXIT\n{line}"], cwd=folder,
            env=environment() | variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert answer.returncode == code, f"{line}\n{answer.stdout}\n{answer.stderr}"
        return answer

    return run


@pytest.fixture
def forked_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test has this process start is a fork of one that has made its imports."""
    monkeypatch.setattr(sys, "executable", warm.python())


def program(name: str, packages: str) -> str:
    """Where a program of Debian packages is; skips without it, and in CI it must be there."""
    found = shutil.which(name)
    if found is None:
        assert not os.environ.get("CI"), f"CI installs {packages} by .ci/install-system"
        pytest.skip(f"no {name}: apt-get install --yes --no-install-recommends {packages}")
    return found


def free_port() -> int:
    """A port that nobody listens at, and that no client gets before the server that it is for.

    It is below the ports that the system gives to outgoing connections, of which the tests open
    thousands while a server still starts.
    """
    while True:
        port = secrets.choice(range(10_240, 32_768))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def answers(url: str) -> bool:
    """Whether something answers 200 there."""
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
