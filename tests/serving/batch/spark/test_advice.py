"""What is advised about the machines of a cluster is done, and the job is done there."""

import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

from cloche.serving.batch.job.part import FinishedPart, PartFile
from cloche.serving.batch.spark.engine import _require_files
from cloche.serving.errors import JobFailed
from tests import advice, spark
from tests.serving.batch.conftest import table
from tests.shell import environment


def test_a_folder_that_all_machines_see_has_the_files_of_executors(tmp_path):
    """The driver's folder is another than the executor's, until both are one that is mounted."""
    theirs, ours = tmp_path / "executor", tmp_path / "driver"
    theirs.mkdir()
    ours.mkdir()
    (theirs / "part-0.csv").touch()
    written = PartFile("part-0.csv", 0, "")
    finished = FinishedPart(0, 0, 0, {}, [], written, None, {}, {})
    with pytest.raises(JobFailed, match=r"must lie where all machines see the same files\.$"):
        _require_files(finished, ours)
    ours.rmdir()
    ours.symlink_to(theirs)
    _require_files(finished, ours)


def bare(folder: Path) -> None:
    """A Python without any package."""


def other(folder: Path) -> None:
    """A Python with the packages of here, of which one has another version."""
    (site,) = folder.glob("lib/python3*/site-packages")
    ours = sysconfig.get_path("purelib")
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    info = site / "msgspec-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: msgspec\nVersion: 0.1\n")


@pytest.mark.slow
@pytest.mark.breadth
@pytest.mark.xdist_group("spark")
def test_the_python_of_executors_is_named_in_the_variable_that_is_told(made_models, tmp_path):
    spark.needed()
    model = shutil.copytree(made_models / "plain", tmp_path / "model")
    (model / "requirements.txt").write_text(f"mlflow\nmsgspec=={version('msgspec')}\n")
    table(20).to_csv(tmp_path / "rows.csv", index=False)
    wrong = {
        bare: "It needs the same Python, cloche and packages of the model as here",
        other: r"other packages than the driver.* msgspec==\S+ \(installed: 0\.1\)",
    }

    def score(python: Path | str, variable: str = "PYSPARK_PYTHON") -> tuple[int, str]:
        job = subprocess.run(
            [sys.executable, "-m", "cloche", "score", model, "rows.csv", "out/",
             "--engine", "spark", "--no-track", "--overwrite"],
            env=environment() | {variable: str(python)}, cwd=tmp_path, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        return job.returncode, job.stderr

    for install, said in wrong.items():
        folder = tmp_path / install.__name__
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        install(folder)
        code, told = score(folder / "bin" / "python")
        assert code == 1
        assert re.search(said, told), told
        (variable,) = advice.words_of(r"(\w+) names (?:it|the interpreter of executors)\.", told)
    code, told = score(sys.executable, variable)
    assert code == 0, told
