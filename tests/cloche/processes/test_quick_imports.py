"""Imports take less time, and leave modules and garbage collection as they would be."""

import gc
import subprocess
import sys

import pytest

from cloche.processes.quick_imports import without_collection

_DEFERRED = """
import sys
from cloche.processes import quick_imports

quick_imports.defer_rarely_used()
import mlflow

assert "fastapi" not in sys.modules
assert mlflow.gateway.get_gateway_uri.__module__ == "mlflow.gateway.utils"
assert "fastapi" in sys.modules
assert not hasattr(mlflow.gateway, "nothing")
from mlflow.gateway import set_gateway_uri
"""
_BROKEN = """
import sys
from cloche.processes import quick_imports

quick_imports.defer_rarely_used()
sys.modules["fastapi"] = None
import mlflow

for _ in range(2):
    try:
        mlflow.gateway.get_gateway_uri
    except ImportError as error:
        assert "fastapi" in str(error)
    else:
        raise AssertionError
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(_DEFERRED, id="that is there"),
        pytest.param(_BROKEN, id="that fails", marks=pytest.mark.breadth),
    ],
)
def test_a_rarely_used_package_runs_when_it_is_first_used(program: str):
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_is_collected_while_modules_are_imported():
    with without_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_garbage_is_collected_again_after_a_failed_import():
    with pytest.raises(ImportError), without_collection():
        raise ImportError
    assert gc.isenabled()
