import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with one saved model of every kind."""
    directory = tmp_path_factory.mktemp("zoo")
    subprocess.run([warm.python(), HERE / "zoo.py", directory], check=True, capture_output=True)
    return directory
