"""The same bytes over the wire, to the application of `mlflow models serve` and to Cloche."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.online import Server, serving, wait_for
from tests.protocol.bodies import CODED, CONTENT_TYPES, MALFORMED
from tests.protocol.test_differential import DIFFERENCES

pytestmark = pytest.mark.slow

KIND = "labels_predict_proba"


@pytest.fixture(scope="module")
def cloche(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(str(zoo / KIND), directory=tmp_path_factory.mktemp("cloche")) as server:
        yield server.wait_until_ready()


@pytest.fixture(scope="module")
def mlflow_url(zoo: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "mlflow.pyfunc.scoring_server.app:app"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--log-level", "critical"],
        env={"__pyfunc_model_path__": str(zoo / KIND), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return requests.get(f"{url}/ping", timeout=5).ok
        except requests.ConnectionError:
            return False

    try:
        wait_for(answers)
        yield url
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_the_same_pages(cloche: Server, mlflow_url: str, path: str) -> None:
    theirs, ours = requests.get(mlflow_url + path, timeout=30), cloche.get(path)
    assert (ours.status_code, ours.text) == (theirs.status_code, theirs.text)


def test_the_same_status_and_predictions(cloche: Server, mlflow_url: str) -> None:
    allowed = {(one.mlflow, one.cloche) for one in DIFFERENCES}
    wrong = []
    for content_type, body in CODED + MALFORMED + CONTENT_TYPES:
        theirs, ours = (
            requests.post(
                f"{url}/invocations", body, headers={"content-type": content_type}, timeout=60
            )
            for url in (mlflow_url, cloche.url)
        )
        same = theirs.status_code == ours.status_code
        if same and ours.status_code == 200:
            same = theirs.content == ours.content
            same &= theirs.headers["content-type"] == ours.headers["content-type"]
        if not same and (theirs.status_code, ours.status_code) not in allowed:
            wrong.append((content_type, body, theirs.status_code, theirs.text, ours.text))
    assert not wrong
