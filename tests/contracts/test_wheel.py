"""The built wheel holds everything that the commands read at run time, and works by itself."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and what it requires without extras.

    What it requires is linked from where the tests run, compiled as it is: to download and compile
    the same files again takes longer than everything that is asked of them.
    """
    place = tmp_path_factory.mktemp("env")
    uv, python = [sys.executable, "-m", "uv", "--quiet"], str(place / "bin" / "python")
    subprocess.run([*uv, "venv", "--allow-existing", "--python", sys.executable, place], check=True)
    subprocess.run([*uv, "pip", "install", "--no-deps", "--python", python, wheel], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    for name in required("cloche"):
        link(metadata.distribution(name), packages)
    subprocess.run([*uv, "pip", "check", "--python", python], check=True)
    return place / "bin"


def required(name: str) -> set[str]:
    """The names of what a distribution requires, and of what that requires."""
    found: set[str] = set()
    open_ends = [(name, "")]
    seen = set(open_ends)
    while open_ends:
        distribution, extra = open_ends.pop()
        for line in metadata.requires(distribution) or []:
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                found.add(canonicalize_name(one.name))
                new = {(one.name, each) for each in ("", *one.extras)} - seen
                open_ends += new
                seen |= new
    return found


def link(distribution: metadata.Distribution, packages: Path) -> None:
    """Show its files in another environment, but its programs; MLflow's two share some."""
    for file in distribution.files or []:
        place = packages / file
        if ".." not in file.parts and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(str(file.locate()))


@pytest.mark.slow
def test_without_extras_it_trains_promotes_scores_and_shows_its_help(
    programs: Path, tmp_path: Path
):
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
