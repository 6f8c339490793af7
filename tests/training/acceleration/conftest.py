"""Warnings of libraries that fitting and converting small models gives, and no defect of ours."""

import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, message=".*integer column")
        warnings.filterwarnings("ignore", message=".*converged yet")
        yield
