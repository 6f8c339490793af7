from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.lifecycle.registry import Registry, Serve
from tests.online import Server, serving


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


@pytest.fixture
def serve(registry: Registry) -> Iterator[Serve]:
    """Starts servers that follow the registry; they end with the test.

    A test that looks at the server's processes names the real program, `COMMAND`.
    """
    with ExitStack() as stack:

        def start(*arguments: str, program: Path | None = None, **environment: str) -> Server:
            models = () if "--all" in arguments else ("models:/m@production",)
            running: AbstractContextManager[Server] = serving(
                *models, *arguments, directory=registry.directory,
                environment={"MLFLOW_TRACKING_URI": registry.uri, **environment}, program=program,
            )  # fmt: skip
            return stack.enter_context(running)

        yield start
