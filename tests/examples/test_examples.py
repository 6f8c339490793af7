"""The examples do what they say, with a model that takes and gives what `comments` does."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests import warm
from tests.online import Server, serving, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("examples")]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
KIND, RUDE = "How kind of you.", "You idiot."


def need(module: str) -> None:
    """Skip where a tool is not installed; in CI, that is a failure."""
    if importlib.util.find_spec(module) is None:
        told = f"{module} is not installed; run .ci/install-examples"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("comments") / "judge"
    made_models = Path(__file__).parent / "make_models.py"
    subprocess.run([warm.python(), made_models, path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(f"judge={model}", directory=tmp_path_factory.mktemp("examples")) as server:
        yield server.wait_until_ready()


def load(name: str) -> ModuleType:
    """An example, as whatever runs it would import it."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fastapi_judges_comments_with_a_model_of_its_own(model, tmp_path, monkeypatch):
    from fastapi.testclient import TestClient

    monkeypatch.setenv("MODEL_URI", f"judge={model}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with TestClient(load("fastapi_app").app) as client:
        assert client.post("/verdicts", json={"text": KIND}).status_code in (200, 503)
        wait_for(lambda: client.get("/models/readyz").status_code == 200)
        verdicts = [client.post("/verdicts", json={"text": text}).json() for text in (KIND, RUDE)]

    assert [verdict["abusive"] for verdict in verdicts] == [False, True]


@pytest.fixture
def guest_book(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("CLOCHE_URL", server.url)
    monkeypatch.setenv("GUEST_BOOK", str(tmp_path / "book.db"))
    return load("flask_app")


def test_flask_stores_only_comments_that_are_not_abusive(guest_book: ModuleType):
    with guest_book.judge, guest_book.app.test_client() as client:
        statuses = [
            client.post("/comments", json={"text": text}).status_code for text in (KIND, RUDE, "")
        ]

        assert statuses == [201, 422, 400]
        assert [comment["text"] for comment in client.get("/comments").json] == [KIND]


def test_flask_stores_nothing_that_nobody_judged(guest_book: ModuleType):
    from cloche.client import Client, Retries

    guest_book.judge.close()
    guest_book.judge = Client("http://127.0.0.1:9", retries=Retries(attempts=1))
    with guest_book.judge, guest_book.app.test_client() as client:
        assert client.post("/comments", json={"text": KIND}).status_code == 503
        assert client.get("/comments").json == []


def test_streamlit_shows_verdicts(server: Server, monkeypatch: pytest.MonkeyPatch):
    need("streamlit")
    from streamlit.testing.v1 import AppTest

    monkeypatch.setenv("CLOCHE_URL", server.url)
    page = AppTest.from_file(str(EXAMPLES / "streamlit_page.py"), default_timeout=60).run()
    page.text_area[0].input(f"{KIND}\n{RUDE}\n")
    page.button[0].click().run()

    assert not page.exception
    assert page.dataframe[0].value["prediction"].tolist() == [0, 1]


def test_the_notebook_runs(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    need("nbclient")
    need("ipykernel")
    monkeypatch.setenv("CLOCHE_URL", server.url)
    run = (
        "import nbformat, sys; from nbclient import NotebookClient;"
        " book = nbformat.read(sys.argv[1], as_version=4);"
        " NotebookClient(book, timeout=120, kernel_name='python3').execute();"
        " nbformat.write(book, sys.argv[2])"
    )
    done = tmp_path / "done.ipynb"
    subprocess.run(
        [sys.executable, "-c", run, EXAMPLES / "notebook.ipynb", done], check=True, cwd=tmp_path
    )

    assert "The request lacks column 'text'" in done.read_text()
