"""Versions that bring different code under one name cannot share a process."""

from pathlib import Path

import pytest
from mlflow.models import Model

from cloche.serving.host.chain.brought_code import brings_other_code


@pytest.mark.parametrize(
    ("differs", "other"),
    [("", False), ("__init__.py", True), ("data.csv", True), ("__pycache__/x.pyc", False)],
)
def test_code_of_one_name_is_compared_file_by_file(
    differs: str, other: bool, tmp_path: Path
) -> None:
    for version in ("1", "2"):
        for name in ("__init__.py", "data.csv", "__pycache__/x.pyc"):
            file = tmp_path / version / "code" / "features" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"NUMBER = {version if name == differs else 0}\n")
        Model().save(str(tmp_path / version / "MLmodel"))
    assert brings_other_code(tmp_path / "1", [tmp_path / "2"]) == other
