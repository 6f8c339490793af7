"""Commands that fit let OpenMP's threads spin for a moment; what they start does not inherit it."""

import os
from collections.abc import Iterator

import click
import pytest

from cloche.main import FITTING, SPIN_COUNT, cloche
from cloche.up.services import server_environment


@pytest.fixture(autouse=True)
def passive() -> Iterator[None]:
    """Variables as a command finds them, and afterwards as they were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        patch.setenv("GOMP_SPINCOUNT", "whatever it was, it is put back")
        del os.environ["GOMP_SPINCOUNT"]
        yield


def spin_count(command: str) -> str | None:
    """The variable once the command has been looked up."""
    cloche.get_command(click.Context(cloche), command)
    return os.environ.get("GOMP_SPINCOUNT")


@pytest.mark.parametrize("command", FITTING)
def test_commands_that_fit_spin(command: str):
    assert spin_count(command) == SPIN_COUNT
    assert "GOMP_SPINCOUNT" not in server_environment()


@pytest.mark.parametrize("command", ["serve", "score", "promote"])
def test_others_do_not(command: str):
    assert spin_count(command) is None


def test_who_chose_how_threads_wait_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert spin_count("train") is None

    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert spin_count("train") == "7"
