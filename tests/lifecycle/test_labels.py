"""A real server: predictions and labels by request, joined at the destination when it has ended."""

from pathlib import Path

import pytest
import requests

from cloche.prediction_log.destination import Destination
from cloche.prediction_log.lookup import find_log
from cloche.prediction_log.reading import Selection, read_log
from tests.lifecycle.registry import Registry
from tests.online import serving
from tests.stores import stores

pytestmark = pytest.mark.slow
KEY = "sekret"


def test_labels_by_request_join_their_predictions(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.register("", promote=True)
    log = tmp_path / "log"
    with serving(
        "models:/m@production", "--log", str(log), "--log-inputs", "all",
        "--log-spool", str(tmp_path / "spool"), directory=tmp_path,
        environment={"MLFLOW_TRACKING_URI": registry.uri, "CLOCHE_API_KEYS": KEY},
    ) as server:  # fmt: skip
        server.wait_until_ready()
        key = {"Authorization": f"Bearer {KEY}"}
        url = f"{server.url}/models/m/labels"

        def post(*labels: object, path: str = url) -> requests.Response:
            return requests.post(path, json={"labels": labels}, headers=key, timeout=30)

        for name in ("a", "b", "c"):
            headers = {**key, "X-Prediction-Id": name, "X-Request-Id": f"r-{name}"}
            body = {"dataframe_records": [{"a": 0.0}]}
            invoked = requests.post(
                f"{server.url}/invocations", json=body, headers=headers, timeout=30
            )
            assert invoked.status_code == 200, invoked.text
        taken = post({"prediction_id": "a", "label": 1}, {"request_id": "r-b", "label": "late"})
        assert (taken.status_code, taken.json()) == (202, {"labels": 2})
        assert post({"prediction_id": "a", "label": 0}).status_code == 202
        assert post({"prediction_id": "c", "label": 0}).status_code == 202
        assert post({"prediction_id": "c", "retract": True}).status_code == 202
        assert post({"prediction_id": "a"}).status_code == 400
        assert requests.post(url, json={"labels": []}, timeout=30).status_code == 401
        assert requests.get(url, headers=key, timeout=30).status_code == 405
        unknown = post({"prediction_id": "a", "label": 1}, path=f"{server.url}/models/x/labels")
        assert unknown.status_code == 404
        paths = requests.get(f"{server.url}/openapi.json", headers=key, timeout=30).json()["paths"]
        assert "202" in paths["/models/m/labels"]["post"]["responses"]
    with stores(registry.uri):
        assert find_log("m").uri == str(log)
    with read_log(Destination.of(str(log)), Selection("m")) as found:
        rows = found.table("prediction_id, label").to_pylist()
        assert found.hashed == frozenset()
    assert {row["prediction_id"]: row["label"] for row in rows} == {
        "a": "0",
        "b": "late",
        "c": None,
    }
