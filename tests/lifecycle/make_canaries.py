"""Versions that are bad arms, each in its own way: in one request of so many, or always.

Version N answers N. What is wrong with it is its fault.
"""

import itertools
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema

GOOD, FAILS, DIES, HANGS, NAN, REFUSES = "good", "fails", "dies", "hangs", "nan", "refuses"
ALL_FAIL, FAILS_RARELY = "all fail", "fails rarely"
DIFFERS, SLOW = "differs", "slow"  # of shadows
FAULTS = (FAILS, DIES, HANGS, NAN, REFUSES)
_EVERY = {
    FAILS: 20, DIES: 50, HANGS: 20, NAN: 20, ALL_FAIL: 1, FAILS_RARELY: 500, DIFFERS: 20, SLOW: 1
}  # fmt: skip


class Canary(PythonModel):
    """Answers its number, and now and then something else."""

    def __init__(self, number: int, fault: str) -> None:
        self.number = number
        self.fault = fault

    def load_context(self, context: Any) -> None:
        self.calls = itertools.count(1)
        self.owed = 0  # failures of requests that are scored alone after they failed together

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        answers = [float(self.number)] * len(model_input)
        if "a" in model_input and (model_input["a"] < 0).any():  # the input example
            return answers
        turns = [next(self.calls) for _ in answers]
        if every := _EVERY.get(self.fault):
            bad = [turn % every == 0 for turn in turns]
            again = self.owed > 0 and len(turns) == 1
            if any(bad) or again:
                if self.fault in (FAILS, FAILS_RARELY):
                    self.owed += -1 if again else 1
                deed(self.fault)()
            if self.fault == DIFFERS:
                return [self.number + 0.01 * one for one in bad]
            if self.fault == NAN:
                return [math.nan if one else self.number for one in bad]
        return answers


def deed(fault: str) -> Callable[[], object]:
    def fail() -> None:
        raise ValueError("not this time")

    return {
        FAILS: fail, ALL_FAIL: fail, FAILS_RARELY: fail, NAN: lambda: None,
        HANGS: lambda: time.sleep(3600),
        DIES: lambda: os.kill(os.getpid(), signal.SIGKILL),
        DIFFERS: lambda: None, SLOW: lambda: time.sleep(2),
    }[fault]  # fmt: skip


def save(path: Path, number: int, fault: str) -> None:
    """Save version `number` with its fault."""
    columns = [ColSpec("double", "a")]
    example = pd.DataFrame({"a": [-1.0]})
    if fault == REFUSES:
        columns.append(ColSpec("double", "b"))
        example["b"] = 0.0
    with warnings.catch_warnings(action="ignore"):  # that a hint of `Any` tells it nothing
        mlflow.pyfunc.save_model(
            path, python_model=Canary(number, fault),
            signature=ModelSignature(Schema(columns), Schema([ColSpec("double")])),
            input_example=example, pip_requirements=[],
        )  # fmt: skip


# The class travels with the model: hosts do not find the module of a test.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
