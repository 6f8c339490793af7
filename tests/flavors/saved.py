"""The models of the frameworks, for the tests of several folders."""

import functools
import subprocess
from pathlib import Path

import pytest

from tests import warm
from tests.flavors.catalog import Save

MAKE_MODELS = Path(__file__).parent / "make_models.py"


@pytest.fixture(scope="session")
def save(tmp_path_factory: pytest.TempPathFactory) -> Save:
    """See `Save`."""

    @functools.cache
    def saved(framework: str) -> Path:
        directory = tmp_path_factory.mktemp(framework)
        command = [warm.python(), MAKE_MODELS, framework, directory]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return directory

    return saved
