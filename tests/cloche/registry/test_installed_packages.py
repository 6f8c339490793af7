"""What is told of an environment that is not the one a version was logged with."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from mlflow.models import Model

from cloche.registry.installed_packages import mismatches, missing_packages
from cloche.registry.stage_chain import Member, write_chain


@pytest.mark.parametrize(
    "line",
    [
        f"pandas=={pd.__version__}", "pandas>=1", "pandas", "# a comment", "", "-r other.txt",
        "./wheels/own.whl", "absent-package; python_version < '3'",
    ],
)  # fmt: skip
def test_what_is_met_or_cannot_be_judged_is_not_told(tmp_path: Path, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    assert mismatches(tmp_path) == []


def test_another_version_and_an_absent_package_are_told(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pandas==0.1\nabsent-package>=2\n")
    assert mismatches(tmp_path) == [
        f"pandas==0.1 (installed: {pd.__version__})",
        "absent-package>=2 (installed: nothing)",
    ]


def test_only_an_absent_package_is_absent(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pandas==0.1\nabsent-package>=2\n-r other.txt\n")
    assert missing_packages(tmp_path) == ["absent-package>=2"]


def test_a_model_without_requirements_is_fine(tmp_path: Path) -> None:
    assert mismatches(tmp_path) == []


@pytest.mark.parametrize("content", ["", "[]", "python: [", "dependencies: [pip]"])
def test_a_description_without_a_python_is_no_obstacle(tmp_path: Path, content: str) -> None:
    (tmp_path / "python_env.yaml").write_text(content)
    assert mismatches(tmp_path) == []


def test_another_python_is_told_and_another_patch_release_is_not(tmp_path: Path) -> None:
    here = ".".join(map(str, sys.version_info[:2]))
    (tmp_path / "python_env.yaml").write_text(f"python: {here}.99\n")
    assert mismatches(tmp_path) == []
    (tmp_path / "python_env.yaml").write_text("python: 3.9.1\n")
    assert mismatches(tmp_path) == [f"Python 3.9 (installed: {here})"]


def test_what_several_versions_of_a_chain_lack_is_told_once(tmp_path: Path) -> None:
    members = []
    for name, lines in (("s", "pandas==0.1\n"), ("m", "pandas==0.1\nabsent-package\n")):
        folder = tmp_path / name
        folder.mkdir()
        Model().save(str(folder / "MLmodel"))
        (folder / "requirements.txt").write_text(lines)
        members.append(Member(name, folder))
    write_chain(tmp_path / "chain", members)
    assert mismatches(tmp_path / "chain") == [
        f"pandas==0.1 (installed: {pd.__version__})", "absent-package (installed: nothing)"
    ]  # fmt: skip
