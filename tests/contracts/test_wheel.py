"""The built wheel holds everything that the commands read at run time, and works by itself."""

import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.end_to_end.users_folder import User, fill, save_version

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build(ROOT, "wheel", folder)
    (found,) = folder.glob("*.whl")
    return found


def build(source: Path, target: str, folder: Path) -> None:
    """Have `source` built into `folder`, as a `wheel` or an `sdist`."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=source,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """Names of its files."""
    return set(ZipFile(wheel).namelist())


@pytest.mark.parametrize("folder", ["cloche", "training", "serving"])
def test_the_wheel_holds_every_file_of_the_packages(names, folder):
    listed = subprocess.run(
        ["git", "ls-files", folder], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    files = [name for name in listed if not (ROOT / name).is_symlink()]

    assert files
    assert {name if folder == "cloche" else f"cloche/{name}" for name in files} <= names


def test_the_wheel_has_one_name_at_the_top(names):
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.startswith("cloche-")} == {"cloche"}


def test_a_wheel_from_the_source_distribution_is_the_same(names, tmp_path):
    build(ROOT, "sdist", tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    build(tmp_path / archive.name.removesuffix(".tar.gz"), "wheel", tmp_path)

    (again,) = tmp_path.glob("*.whl")
    assert set(ZipFile(again).namelist()) == names


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and what it requires without extras.

    What it requires is linked from where the tests run, compiled as it is: to download and compile
    the same files again takes longer than everything that is asked of them.
    """
    place = tmp_path_factory.mktemp("an env")
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
    """Show its files in another environment, but its programs; MLflow's two share some.

    With each goes what Python has compiled of it, which uv does not note as a file.
    """
    for file in distribution.files or []:
        source, place = Path(str(file.locate())), packages / file
        compiled = [Path(cache_from_source(path)) for path in (source, place)]
        for one, there in ((source, place), compiled):
            if ".." not in file.parts and one.exists() and not there.exists():
                there.parent.mkdir(parents=True, exist_ok=True)
                there.symlink_to(one)


@pytest.mark.slow
@pytest.mark.breadth
def test_without_extras_it_trains_promotes_scores_and_serves_among_modules_of_any_name(
    programs: Path, tmp_path: Path
):
    """They are in the working directory, and in another folder that PYTHONPATH names."""
    folder, crowded = tmp_path / "work", tmp_path / "modules"
    for place in (folder, crowded):
        fill(place)
    variables = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'registry.db'}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PATH": f"{programs}:/usr/bin:/bin",
        "PYTHONPATH": str(crowded),
    }
    user = User(programs, folder, variables)
    user.register(*(save_version(tmp_path / f"repository {at}", at) for at in (1, 2)))

    assert "cloche promote" in user.run("--help")
    assert "tracking" in user.run("doctor")
    user.run("init", "sample:breast_cancer")
    user.run("train", "breast-cancer")
    user.run("promote", "breast-cancer")
    user.run("sample", "breast_cancer", "--without-target", "cells.csv")
    user.run("score", "models:/breast-cancer@production", "cells.csv", "scored.csv")
    assert len((folder / "scored.csv").read_text().splitlines()) == 570

    user.point("production", 1)
    assert "production" in user.run("status", "m")
    assert user.score() == [1.0 + 10 * at for at in range(200)]
    with user.serving() as server:
        server.wait_until_ready()
        assert server.predict(3).json() == {"predictions": [31.0]}
        user.promote(2)
        server.wait_for_version("2")
        assert server.predict(3).json() == {"predictions": [61.0]}
        user.run("rollback", "m")
        server.wait_for_version("1")
        assert server.predict(3).json() == {"predictions": [31.0]}


USERS_PROGRAM = """
from cloche.client import Client

reveal_type(Client("http://127.0.0.1:8080").predict([{"a": 1.0}]))
Client(7)
"""


def test_a_users_type_checker_sees_the_types_of_the_client(wheel: Path, tmp_path: Path):
    """It believes annotations of an installed package only where that ships py.typed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    ZipFile(wheel).extractall(packages)
    (tmp_path / "program.py").write_text(USERS_PROGRAM)

    python = str(tmp_path / "env" / "bin" / "python")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", python, "program.py"],
        cwd=tmp_path, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert 'Revealed type is "cloche.serving.client.prediction.Prediction"' in done.stdout
    assert 'incompatible type "int"; expected "str"' in done.stdout
