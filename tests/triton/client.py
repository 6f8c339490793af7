"""Calls into Triton's client, which runs in the environment that has it."""

import pickle
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import apart

PROGRAM = Path(__file__).with_name("program.py")


class Refused(Exception):
    """`InferenceServerException` of Triton's client.

    Attributes:
        message: what the server said.
        status: its code, as the client gives it.
    """

    def __init__(self, text: str, message: str, status: str) -> None:
        super().__init__(text)
        self.message = message
        self.status = status


class Triton:
    """A running `tests/triton/program.py`; its functions are methods here."""

    def __init__(self) -> None:
        python = apart.programs("triton") / "python"
        self._process = subprocess.Popen(
            [python, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __getattr__(self, function: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            assert self._process.stdin
            assert self._process.stdout
            pickle.dump((function, arguments, options), self._process.stdin)
            self._process.stdin.flush()
            kind, value = pickle.load(self._process.stdout)  # noqa: S301 (our own program)
            if kind == "refused":
                raise Refused(*value)
            assert kind == "returned", value
            return value

        return call

    def close(self) -> None:
        """End the program."""
        self._process.communicate(timeout=60)


@pytest.fixture(scope="session")
def triton() -> Iterator[Triton]:
    """Triton's client; where it is not installed, tests that ask for it are skipped."""
    program = Triton()
    yield program
    program.close()
