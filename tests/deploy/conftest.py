"""A folder as schedulers find it: days of flights, a version in production, the job's scripts."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.shelf import copy_empty_store
from tests.shell import environment

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GOOD, BAD, ABSENT = "2013-11-01", "2013-11-02", "2013-11-03"

# As little as makes a version with a profile: what is tested is when and what it scores.
TRAIN = """
cloche sample flights --from 2013-10-30 --to 2013-10-31 october.csv
cloche train flights --data october.csv --set 'split={by: fraction, holdout: 0.3}' \
  --set 'slices=[]' --set 'gate={minimum: {roc_auc: 0.5}}' \
  --set search=null --set estimator.params.max_iter=5 --set acceleration=off
python -c "import mlflow
mlflow.MlflowClient().set_registered_model_alias('flight-delay', 'production', 1)"
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def made_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version of `flight-delay` in production, a good day, and a day with bad rows."""
    folder = tmp_path_factory.mktemp("flights")
    days = folder / "flights"
    days.mkdir()
    copy_empty_store(folder / "mlflow.db")
    sample = "cloche sample flights --without-target --date"
    script = f"{TRAIN}\nfor day in {GOOD} {BAD}; do {sample} $day flights/$day.csv; done"
    subprocess.run(["bash", "-euc", script], cwd=folder, env=environment(), check=True)
    rows = (days / f"{BAD}.csv").read_text().splitlines(keepends=True)
    weekday = rows[0].split(",").index("weekday")
    for at in (5, 50, 500):
        cells = rows[at].split(",")
        rows[at] = ",".join([*cells[:weekday], "Saturday", *cells[weekday + 1 :]])
    (days / f"{BAD}.csv").write_text("".join(rows))
    return folder


@pytest.fixture
def flights(made_models: Path, tmp_path: Path) -> Path:
    """A folder of its own for a test: the scripts, the days and nothing scored."""
    for script in ("daily/score-day", "cron/nightly"):
        shutil.copy(DEPLOY / script, tmp_path)
    shutil.copytree(made_models / "flights", tmp_path / "flights")
    return tmp_path


@pytest.fixture
def job(made_models: Path, flights: Path) -> dict[str, str]:
    """The environment of a job in that folder."""
    found = environment()
    return found | {
        "FOLDER": str(flights),
        "MLFLOW_TRACKING_URI": f"sqlite:///{made_models}/mlflow.db",
        "XDG_CACHE_HOME": str(made_models / "cache"),
        "PATH": f"{flights}{os.pathsep}{found['PATH']}",
    }


@pytest.fixture
def run(job: dict[str, str], flights: Path) -> Run:
    """Run a script of the folder as a scheduler does; it must exit with `code`."""

    def call(*command: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            command, env=job | variables, cwd="/", capture_output=True, text=True, check=False
        )
        assert answer.returncode == code, answer.stdout + answer.stderr
        return answer

    return call
