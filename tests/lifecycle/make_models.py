"""Models that behave.

Version N of a model predicts N for every row. What it does besides is its behaviour; what a row
makes it do, its value.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
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

CRASH, HANG, REFUSE, PATCH, CLEAR = -1, -2, -3, -4, -5
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
            os.write(2, b"The licence is missing.\n")
            os._exit(3)
        if self.behaviour == "segfaults":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.behaviour == "hangs":
            time.sleep(3600)
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
        if (model_input["a"] == REFUSE).any():
            raise ValueError("not this row")
        if deed := DEEDS.get(model_input["a"].min()):
            deed()
        if self.behaviour == "leaks":
            self.hoard.append(bytearray(4_000_000))
        if self.behaviour == "is slow":
            time.sleep(0.5)
        return [self.number] * len(model_input)


def change_surroundings() -> None:
    """Change what all code of a process shares."""
    os.chdir("/")
    os.umask(0o777)
    os.environ.clear()
    sys.stdout.close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    threading.Thread(target=time.sleep, args=[3600]).start()


def leave_helper() -> None:
    """Start a program that holds the output open."""
    helper = subprocess.Popen(["sleep", "3600"])
    os.write(1, f"Started: {helper.pid}\n".encode())


# What a row makes it do to its process, by the row's value.
DEEDS: dict[float, Callable[[], object]] = {
    -101: lambda: os._exit(3),
    -102: lambda: os.kill(os.getpid(), signal.SIGKILL),
    -103: lambda: os.closerange(3, 1024),
    -104: lambda: os.kill(os.getpid(), signal.SIGSTOP),
    -105: os.fork,  # and both go on
    -106: lambda: os.killpg(0, signal.SIGTERM),
    -107: lambda: os.kill(os.getppid(), signal.SIGTERM),
    -108: change_surroundings,
    -109: leave_helper,
    -110: lambda: os.killpg(0, signal.SIGKILL),
    PATCH: lambda: setattr(pd, "DataFrame", None),
    CLEAR: lambda: sys.modules.clear(),  # noqa: PLW0108  # the method would be sent with all modules
}


def start_programs(folder: Path) -> None:
    """Start what outlives a process that does not care, and holds its output open.

    Leave the process ids in `folder`, `host` with its own, and `asked` when exit handlers run.
    """
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    atexit.register((folder / "asked").touch)
    (folder / "host").write_text(str(os.getpid()))
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
