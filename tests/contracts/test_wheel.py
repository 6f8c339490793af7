"""The built wheel holds everything that the commands read at run time, and works by itself."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.shell import environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """Names of its files."""
    return set(ZipFile(wheel).namelist())


@pytest.mark.parametrize("package", ["cloche", "training", "serving"])
def test_the_wheel_holds_every_file_of_the_packages(names, package):
    tracked = subprocess.run(
        ["git", "ls-files", package], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()

    assert tracked
    assert set(tracked) <= names


def test_the_wheel_holds_no_test(names):
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


@pytest.mark.slow
def test_without_extras_it_trains_promotes_scores_and_shows_its_help(wheel: Path, tmp_path: Path):
    uv, programs = [sys.executable, "-m", "uv", "--quiet"], tmp_path / "env" / "bin"
    versions = tmp_path / "versions.txt"
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    versions.write_text("\n".join(line.rstrip("\\ ") for line in locked if line[:1].isalnum()))
    for command in (
        [*uv, "venv", "--python", sys.executable, str(tmp_path / "env")],
        [*uv, "pip", "install", "--python", str(programs / "python"), "-c", str(versions), wheel],
    ):
        subprocess.run(command, check=True)

    variables = {"XDG_CACHE_HOME": str(tmp_path), "PATH": f"{programs}:/usr/bin:/bin"}

    for words in (
        "--help",
        "train breast-cancer",
        "promote breast-cancer",
        "sample breast_cancer --without-target rows.csv",
        "score models:/breast-cancer@production rows.csv scores.csv",
    ):
        done = subprocess.run(
            [programs / "cloche", *words.split()], cwd=tmp_path, capture_output=True, text=True,
            env=environment() | variables, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"cloche {words}\n{done.stdout}\n{done.stderr}"
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 570
