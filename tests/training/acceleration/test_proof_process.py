"""A twin is made apart from the command: by any interpreter, of models that do anything."""

import os
import signal
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from cloche.registry.env_manager import extra_requirements, interpreter
from cloche.training.acceleration import proof_process
from cloche.training.acceleration.proof_process import make_twin_in_process
from cloche.training.child_process import Exit
from cloche.training.errors import TrainingError

ROWS = pd.DataFrame({"mean radius": [0.5, 1.5, 2.5, 4.0], "댓글": [1.0, 0.0, 3.0, 2.0]})
OTHER = "1.8.0"  # of scikit-learn, not the one that is installed


class Killing(LinearRegression):
    """A model that kills the process that loads it."""

    def __setstate__(self, state: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Raising(LinearRegression):
    """A model that cannot be loaded."""

    def __setstate__(self, state: object) -> None:
        raise ModuleNotFoundError("No module named '_loss'")


@pytest.fixture
def save(tmp_path: Path):
    def save_model(estimator: LinearRegression, **options: object) -> Path:
        fitted = estimator.fit(ROWS, [0.0, 1.0, 3.0, 4.0])
        mlflow.sklearn.save_model(
            fitted, tmp_path / "model", signature=infer_signature(ROWS, fitted.predict(ROWS)),
            serialization_format="cloudpickle", **({"pip_requirements": []} | options),
        )  # fmt: skip
        return tmp_path / "model"

    return save_model


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.parametrize(
    ("estimator", "reason"),
    [(Killing(), "killed by SIGKILL"), (Raising(), "cannot be loaded: ModuleNotFoundError")],
)
def test_of_a_model_that_cannot_be_loaded_nothing_is_known(save, estimator, reason):
    with pytest.raises(TrainingError, match=reason):
        make_twin_in_process(save(estimator), ROWS)


@pytest.mark.parametrize(("left", "shown"), [("", True), ('{"begun": true}', False)])
def test_what_a_process_printed_is_shown_only_before_the_model_saw_rows(
    monkeypatch, tmp_path, left, shown
):
    def run_module(_, folder, *__, **___):
        (folder / "outcome.json").write_text(left)
        return Exit(
            -9, "the process was killed by SIGKILL", "a row: 0.5", in_current_environment=True
        )

    monkeypatch.setattr(proof_process, "run_module", run_module)

    with pytest.raises(TrainingError, match="killed by SIGKILL") as told:
        make_twin_in_process(tmp_path, ROWS)
    assert ("a row" in str(told.value)) == shown


@pytest.mark.breadth  # what is built of, test_env_manager.py proves without building
def test_it_is_proven_in_the_environment_that_the_version_was_logged_with(save, tmp_path):
    needed = [f"mlflow-skinny=={mlflow.__version__}", f"scikit-learn=={OTHER}", "cloudpickle"]
    model = save(LinearRegression(), pip_requirements=[*needed, f"pandas=={pd.__version__}"])
    also = extra_requirements("acceleration")
    own = interpreter(model, "uv", tmp_path / "cache", print, also=also)

    twin = make_twin_in_process(model, ROWS, python=own)

    assert twin.document["proof"]["versions"]["scikit-learn"] == OTHER
