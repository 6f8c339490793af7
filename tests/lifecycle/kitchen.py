"""Models that behave.

Version N of a model predicts N for every row. What it does besides is its behaviour; what a row
makes it do, its value.
"""

import atexit
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema

CRASH, HANG, REFUSE, EXIT, SIGNAL_GROUP, FORK, CLOSE, PATCH, CLEAR = range(-1, -10, -1)
# followed by a folder for the process ids of what it starts
STARTS, STARTS_AND_RAISES = "starts programs: ", "starts programs and raises: "
# all that a host needs, which makes an environment in a third of the time that MLflow whole takes
LITTLE = [f"mlflow-skinny=={mlflow.__version__}", f"pandas=={pd.__version__}"]

SIGNATURE = ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("long")]))


class Version(PythonModel):
    """A model that misbehaves on request."""

    def __init__(self, number: int, behaviour: str) -> None:
        self.number = number
        self.behaviour = behaviour
        self.hoard: list[bytearray] = []

    def load_context(self, context: Any) -> None:
        if self.behaviour.startswith((STARTS, STARTS_AND_RAISES)):
            start_programs(Path(self.behaviour.partition(": ")[2]))
        if self.behaviour.startswith(STARTS_AND_RAISES):
            raise RuntimeError("this version is broken")
        if self.behaviour == "exits":
            os._exit(3)
        if self.behaviour == "segfaults":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.behaviour == "hangs":
            time.sleep(3600)
        if self.behaviour == "leaves a child and raises":
            child = subprocess.Popen(["sleep", "3600"])
            os.write(1, b"child %d\n" % child.pid)
            raise RuntimeError("this version is broken")
        if self.behaviour == "lacks a module":
            __import__("a_module_that_nobody_has")
        if self.behaviour == "raises":
            raise RuntimeError("this version is broken")

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if self.behaviour == "fails its example":
            raise ValueError("no row suits me")
        if (model_input["a"] == CRASH).any():
            os.write(1, b"This row crashes.\n")
            os.kill(os.getpid(), signal.SIGSEGV)
        if (model_input["a"] == HANG).any():
            os.write(1, b"This row hangs.\n")
            time.sleep(3600)
        if (model_input["a"] == PATCH).any():
            pd.DataFrame = None  # type: ignore[assignment, misc]
        if (model_input["a"] == CLEAR).any():
            sys.modules.clear()
        if (model_input["a"] == REFUSE).any():
            raise ValueError("not this row")
        if (model_input["a"] == EXIT).any():
            os._exit(3)
        if (model_input["a"] == SIGNAL_GROUP).any():
            os.killpg(0, signal.SIGTERM)
        if (model_input["a"] == FORK).any():
            os.fork()  # and both return
        if (model_input["a"] == CLOSE).any():
            os.closerange(3, 1024)
        if self.behaviour == "leaks":
            self.hoard.append(bytearray(1_000_000))
        if self.behaviour == "is slow":
            time.sleep(0.5)
        return [self.number] * len(model_input)


def start_programs(folder: Path) -> None:
    """Start what outlives a process that does not care, and holds its output open.

    Leave the process ids in `folder`, and `asked` when exit handlers run.
    """
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    atexit.register((folder / "asked").touch)
    (folder / f"{helper.pid}.pid").touch()
    daemon = os.fork()
    if daemon == 0:  # forks twice, so that nobody is its parent
        child = subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
        (folder / f"{child.pid}.pid").touch()
        os._exit(0)
    os.waitpid(daemon, 0)
    joblib = __import__("joblib")  # which an environment of a version's own may lack
    for pid in joblib.Parallel(n_jobs=2)(joblib.delayed(os.getpid)() for _ in range(8)):
        (folder / f"{pid}.pid").touch()


def save(path: Path, number: int, behaviour: str) -> None:
    """Save version `number` with its behaviour."""
    with warnings.catch_warnings(action="ignore"):  # that a hint of `Any` tells it nothing
        mlflow.pyfunc.save_model(
            path, python_model=Version(number, behaviour), signature=SIGNATURE,
            input_example=pd.DataFrame({"a": [0.0]}), pip_requirements=LITTLE,
        )  # fmt: skip


# The class travels with the model: hosts do not find the module of a test.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
