"""What a version needs is added to an environment that lacks it, and nothing there is changed."""

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ABSENT = "cowsay==6.1"  # small, needs nothing, and nobody here has it


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter without pip, that finds our packages and has a place of its own."""
    venv.create(tmp_path / "cloche", with_pip=False)
    return tmp_path / "cloche" / "bin" / "python"


def fit(python: Path, folder: Path, requirements: str) -> subprocess.CompletedProcess[str]:
    (folder / "requirements.txt").write_text(requirements)
    ours = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    return subprocess.run(
        [python, "-m", "cloche.serving.image.install_requirements", folder],
        env=os.environ | {"PYTHONPATH": ours}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.breadth
def test_an_absent_package_is_installed_and_another_version_is_not(
    python: Path, tmp_path: Path
) -> None:
    done = fit(python, tmp_path, f"{ABSENT}\nnumpy==1.0\n")
    assert done.returncode == 0, done.stdout + done.stderr
    added = {path.name for path in python.parents[1].glob("lib/python3*/site-packages/*")}
    assert {name for name in added if not name.startswith("cowsay")} == set()
    assert added


def test_where_nothing_is_absent_no_index_is_asked(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    assert fit(python, tmp_path, "numpy\n# a comment\n").returncode == 0


@pytest.mark.breadth
def test_a_package_that_is_nowhere_fails_the_build(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert fit(python, tmp_path, f"{ABSENT}\n").returncode != 0
