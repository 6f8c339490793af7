"""How a model is loaded: as MLflow's own server loads it."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.models import Model

from cloche.processes import child_variables
from cloche.serving.host import frameworks

CONFIG = "SERVING_MODEL_CONFIG"


def loaded_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What MLflow is told besides the path."""
    told: dict[str, Any] = {}
    Model().add_flavor("python_function", loader_module="x").save(path / "MLmodel")
    monkeypatch.setattr(frameworks, "load_model", lambda _, **options: told.update(options))
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
    frameworks.load(path)
    return told


def test_the_variable_of_mlflows_server_configures_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "model_config" not in loaded_with(tmp_path, monkeypatch)
    monkeypatch.setenv(CONFIG, json.dumps({"temperature": 0.5}))
    assert loaded_with(tmp_path, monkeypatch)["model_config"] == {"temperature": 0.5}
    assert mlflow.pyfunc.scoring_server.SERVING_MODEL_CONFIG == CONFIG


@pytest.mark.parametrize("text", ["{", "[1]", "5"])
def test_a_configuration_that_is_no_object_is_told(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONFIG, text)
    with pytest.raises(ValueError, match=f"{CONFIG} must be a JSON object") as refusal:
        loaded_with(tmp_path, monkeypatch)
    advised = str(refusal.value).partition("such as ")[2].removesuffix(".")
    monkeypatch.setenv(CONFIG, advised)
    assert loaded_with(tmp_path, monkeypatch)["model_config"] == json.loads(advised)


def test_a_model_gets_the_variable() -> None:
    assert child_variables.for_models({CONFIG: "{}", "OTHER": "x"}) == {CONFIG: "{}"}
