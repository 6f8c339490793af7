"""From a recipe to an answer over HTTP, with the commands that a user types and stock MLflow."""

import itertools
import json
import signal
import socket
import subprocess
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import requests
from mlflow import MlflowClient
from mlflow.pyfunc import PyFuncModel

from tests.online import COMMAND, serving, wait_for
from tests.shell import answers, environment, free_port
from tests.stores import stores

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("whole_way")]

# a script's background commands are started with SIGINT ignored, and must end by it all the same
IN_A_SCRIPT = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty one: the first command makes MLflow's default store."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def promoted(shell, folder: Path) -> pd.DataFrame:
    """A version in production, by the real program; gives the rows that it was judged on."""
    trained = json.loads(shell(f"{COMMAND} train breast-cancer --json").stdout)
    shell(f"{COMMAND} promote breast-cancer")
    (holdout,) = folder.glob(f"mlruns/*/{trained['run_id']}/artifacts/holdout/holdout.parquet")
    return pd.read_parquet(holdout).drop(columns="benign")


def loaded(folder: Path, uri: str) -> PyFuncModel:
    """A version of the registry there, as a program of a user's has it."""
    with stores(f"sqlite:///{folder}/mlflow.db"):
        return mlflow.pyfunc.load_model(uri)


def test_the_stock_server_and_the_stock_batch_agree(promoted, shell, stock_server, folder):
    address = stock_server("models:/breast-cancer@production")
    rows = promoted.head(20)
    rows.to_csv(folder / "rows.csv", index=False)

    online = requests.post(
        f"{address}/invocations",
        json={"dataframe_split": rows.to_dict(orient="split", index=False)},
        timeout=60,
    )
    shell(
        "mlflow models predict --env-manager local -m models:/breast-cancer@production"
        " -i rows.csv -t csv -o predictions.json"
    )

    assert online.status_code == 200, online.text
    answered = online.json()["predictions"]
    scored = json.loads((folder / "predictions.json").read_text())["predictions"]
    assert len(answered) == 20
    assert set(answered[0]) == {"prediction", "probability"}
    assert answered == scored


def test_the_accelerated_twin_answers_as_the_model_does_and_may_come_and_go(
    promoted, shell, folder
):
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    rows = promoted.head(50)
    body = {"dataframe_split": rows.to_dict(orient="split", index=False)}
    by_model = loaded(folder, "models:/breast-cancer/1").predict(rows).to_dict(orient="records")

    with serving("models:/breast-cancer@production", directory=folder, environment=store) as server:
        server.wait_until_ready()
        assert server.state("breast-cancer")["predictor"] == "onnx"
        by_twin = server.get_predictions(body)
        assert server.metric("cloche_accelerated_rows_total") >= 50
        assert [one["prediction"] for one in by_twin] == [one["prediction"] for one in by_model]
        assert [one["probability"] for one in by_twin] == pytest.approx(
            [one["probability"] for one in by_model], abs=1e-6
        )

        shell(
            'python -c "import mlflow; mlflow.MlflowClient().delete_model_version_tag('
            "'breast-cancer', '1', 'cloche.accelerated')\""
        )
        wait_for(lambda: server.state("breast-cancer")["predictor"] == "pyfunc")
        assert server.get_predictions(body) == by_model

        shell("cloche accelerate breast-cancer --version 1")
        wait_for(lambda: server.state("breast-cancer")["predictor"] == "onnx")
        assert server.get_predictions(body) == by_twin


def test_a_promotion_can_be_rolled_back_and_both_names_load_what_serves(promoted, shell, folder):
    with stores(f"sqlite:///{folder}/mlflow.db"):
        first = MlflowClient().get_model_version("breast-cancer", "1")
        second = MlflowClient().create_model_version("breast-cancer", first.source, first.run_id)
    ask = f"cloche promote breast-cancer --version {second.version}"
    shell(f"{ask} --force --reason 'a test of the way back'")
    shell("cloche rollback breast-cancer")

    one, alias, stage = (
        loaded(folder, f"models:/breast-cancer{end}").predict(promoted)
        for end in ("/1", "@production", "/Production")
    )

    pd.testing.assert_frame_equal(alias, one)
    pd.testing.assert_frame_equal(stage, one)


def test_up_serves_and_shows_the_registry_until_it_is_interrupted(promoted, folder, tmp_path):
    port, ui_port = free_port(), free_port()
    command = ["cloche", "up", "breast-cancer", "--port", str(port), "--ui-port", str(ui_port)]
    with subprocess.Popen(
        [*IN_A_SCRIPT, *command], cwd=folder, env=environment() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        said = list(itertools.takewhile(lambda line: "Ctrl-C" not in line, process.stdout))
        ready, ui = (answers(f"http://127.0.0.1:{at}") for at in (port, ui_port))
        process.send_signal(signal.SIGINT)
        process.communicate()

    assert "breast-cancer version 1 is in production" in "".join(said)
    assert "nothing is trained" in "".join(said)
    assert ready
    assert ui
    assert process.returncode == 130
    assert not list(tmp_path.iterdir()), "rows, or files of the model, in the temporary folder"
    for at in (port, ui_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", at))
