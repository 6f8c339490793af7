import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests import shell, warm
from tests.lifecycle.registry import Registry
from tests.online import Server, serving
from tests.page.names import COMMENTS, FLIGHTS

MAKE_MODELS = Path(__file__).parent / "make_models.py"
KEY = "a-key"


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Two models with the alias, one of which has a version more."""
    registry = Registry(tmp_path_factory.mktemp("page"))
    command = [warm.python(), MAKE_MODELS, registry.uri, registry.directory / "artifacts"]
    # the runs' artifacts lie in the working directory
    subprocess.run(
        command, check=True, capture_output=True,
        cwd=registry.directory,
        env=shell.environment() | {"PYTHONPATH": str(MAKE_MODELS.parents[2])},
    )  # fmt: skip
    registry.promote("1", FLIGHTS)
    registry.promote("1", COMMENTS)
    return registry


@pytest.fixture(scope="module")
def server(registry: Registry) -> Iterator[Server]:
    """Serves both to everybody."""
    with serving(
        "--all", directory=registry.directory, environment={"MLFLOW_TRACKING_URI": registry.uri}
    ) as server:
        yield server.wait_until_ready()


@pytest.fixture(scope="module")
def guarded(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves one of them to who has the key."""
    with serving(
        f"models:/{COMMENTS}@production", "--poll-interval", "3600",
        directory=tmp_path_factory.mktemp("guarded"),
        environment={"MLFLOW_TRACKING_URI": registry.uri, "CLOCHE_API_KEYS": KEY},
    ) as server:  # fmt: skip
        yield server.wait_until_ready()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser that the machine has."""
    path = shutil.which("chromium")
    if path is None:
        told = "no chromium: apt-get install --yes --no-install-recommends chromium"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    with sync_playwright() as playwright:
        # a container's root may not make the namespaces that its sandbox is made of
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """An empty tab, which must end without an error or something that its policy forbade."""
    complaints: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    yield page
    page.unroute_all(behavior="ignoreErrors")  # the page asks every two seconds, now as well
    context.close()
    assert [one for one in complaints if not one.startswith("Failed to load resource")] == []
