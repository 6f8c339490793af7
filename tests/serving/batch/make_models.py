"""Saves the models that the tests of batch scoring score with: `python make_models.py DIRECTORY`.

Run as a script, in a process of its own, so that what MLflow warns about while it saves does not
concern the tests.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import Array

PICKY = 13.0  # the value that a model refuses, or dies of
SIGNATURE = ModelSignature(
    Schema([ColSpec("double", "a"), ColSpec("long", "b"), ColSpec("string", "c")]),
    Schema([ColSpec("long", "prediction"), ColSpec("double", "probability")]),
)


class Plain(PythonModel):
    """Scores each row by itself, when functions that may refuse the rows have seen them."""

    def __init__(self, *first: Callable[[pd.DataFrame], None]) -> None:
        self.first = first

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        for look in self.first:
            look(model_input)
        words = model_input["c"].map(len, na_action="ignore").astype("float64").fillna(0)
        score = model_input["a"] / 7 + model_input["b"] + words / 3
        return pd.DataFrame({"prediction": (score > 1).astype("int64"), "probability": score})


def fail_on_13(rows: pd.DataFrame) -> None:
    if (rows["a"] == PICKY).any():
        raise ValueError("it holds a 13")


def fail_and_quote(rows: pd.DataFrame) -> None:
    raise ValueError(f"cannot score {rows.iloc[0].to_dict()} of\n{rows}")


def end_process_on_13(rows: pd.DataFrame) -> None:
    if (rows["a"] == PICKY).any():
        os._exit(9)


def hang_on_13(rows: pd.DataFrame) -> None:
    while (rows["a"] == PICKY).any():
        time.sleep(1)


def lack_memory(rows: pd.DataFrame) -> None:
    """There is memory for a hundred rows."""
    if len(rows) > 100:
        raise MemoryError


def be_killed_below_512(rows: pd.DataFrame) -> None:
    """As systems do it where memory runs out: the file is the limit of a container."""
    if int(Path("memory.max").read_text()) < 512 << 20:
        os.kill(os.getpid(), signal.SIGKILL)


class Roomy(Plain):
    """Needs so much memory that the system kills processes that have it at the same time.

    Each process leaves a file in `memory` as it loads. Without the file `first`, which a test
    writes, rows wait for a second process.
    """

    def load_context(self, context: Any) -> None:
        Path(f"memory/{os.getpid()}").touch()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        while len(list(Path("memory").iterdir())) < 2:
            time.sleep(0.01)
        if len(list(Path("memory").iterdir())) > 2 or not Path("memory/first").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(context, model_input)


class Guest(Plain):
    """Does to its process what it may, and leaves the ids of what it starts in TMPDIR."""

    def load_context(self, context: Any) -> None:
        folder = Path(os.environ["TMPDIR"])
        atexit.register((folder / "asked").touch)
        if os.fork() == 0:  # twice, so that nobody is its parent
            child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
            (folder / f"{child.pid}.pid").touch()
            os._exit(0)
        os.wait()
        threading.Thread(target=time.sleep, args=[3600]).start()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        answer = super().predict(context, model_input)
        os.fork()  # and both go on
        os.chdir("/")
        os.umask(0o777)
        os.killpg(0, signal.SIGTERM)
        return answer


class Because(PythonModel):
    """Looks across the rows, and says why with gaps."""

    asked: ClassVar[list[int]] = []  # how many rows, each time

    def __init__(self, *first: Callable[[pd.DataFrame], None]) -> None:
        self.first = first

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        self.asked.append(len(model_input))
        for look in self.first:
            look(model_input)
        reasons = pd.Series([None, "because"] * len(model_input))[: len(model_input)]
        return pd.DataFrame({"why": reasons, "rank": model_input["a"].rank()})


class Answer(PythonModel):
    """Answers with what a function makes of the rows."""

    def __init__(self, of: Callable[[pd.DataFrame], Any]) -> None:
        self.of = of

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return self.of(model_input)


def dice(rows: pd.DataFrame) -> pd.DataFrame:
    """Answer by chance, and look at each row alone; it does not like a 13."""
    fail_on_13(rows)
    return pd.DataFrame({"thrown": np.random.default_rng().random(len(rows)), "a": rows["a"]})


def changing(rows: pd.DataFrame) -> pd.DataFrame:
    """Answer with another type where a value is large, as numpy does where one is missing."""
    return pd.DataFrame({"y": [0.5 if rows["b"].max() > 1 else 2**53 + 1] * len(rows)})


def whole(rows: pd.DataFrame) -> pd.DataFrame:
    """Answer with whole numbers, and with gaps among them."""
    cells = [None if large else 2**53 + 1 for large in rows["b"] > 1]
    return pd.DataFrame({"y": pd.array(cells, "Int64")})


def types(rows: pd.DataFrame) -> list[str]:
    """Say what reached the model."""
    return [" ".join(str(kind) for kind in rows.dtypes)] * len(rows)


class Seen(PythonModel):
    """Says of each row what reached it: name, dtype, and type and value of the cell."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[str]:
        columns = [
            [f"{name!r} {values.dtype} {type(cell).__name__} {cell!r}" for cell in values]
            for name, values in model_input.items()
        ]
        return [" | ".join(row) for row in zip(*columns, strict=True)]


KINDS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")


class Graph(PythonModel):
    """Takes one named tensor, as a graph of ONNX does."""

    def predict(self, context: Any, model_input: dict[str, Any], params: Any = None) -> Any:
        rows = model_input["X"]
        if rows.dtype != np.float32 or rows.shape[1:] != (2,):
            raise TypeError(f"{rows.dtype} of shape {rows.shape}")
        return {"score": rows @ np.array([1, 10], dtype=np.float32)}


MODELS: dict[str, tuple[PythonModel, ModelSignature | None]] = {
    "plain": (Plain(), SIGNATURE),
    "picky": (Plain(fail_on_13), SIGNATURE),
    "talkative": (Plain(fail_and_quote), SIGNATURE),
    "deadly": (Plain(end_process_on_13), SIGNATURE),
    "endless": (Plain(hang_on_13), SIGNATURE),
    "guest": (Guest(), SIGNATURE),
    "large": (Plain(be_killed_below_512), SIGNATURE),
    "roomy": (Roomy(), SIGNATURE),
    "hungry": (Plain(lack_memory), SIGNATURE),
    "because": (Because(fail_on_13), ModelSignature(SIGNATURE.inputs)),
    "crowded": (Because(lack_memory, fail_on_13), ModelSignature(SIGNATURE.inputs)),
    "dice": (Answer(dice), ModelSignature(SIGNATURE.inputs)),
    # one value, however many rows there are
    "summing": (Answer(lambda rows: np.array([rows["a"].sum()])), ModelSignature(SIGNATURE.inputs)),
    "changing": (Answer(changing), ModelSignature(SIGNATURE.inputs)),
    "whole": (Answer(whole), ModelSignature(SIGNATURE.inputs)),
    "types": (Answer(types), None),
    "seen": (Seen(), None),
    "tensor": (
        Answer(lambda rows: (rows["a"] / 7 + rows["b"]).to_numpy()),
        ModelSignature(SIGNATURE.inputs, Schema([TensorSpec(np.dtype("float64"), (-1,))])),
    ),
    "graph": (Graph(), ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 2), "X")]))),
    "odd": (Plain(), ModelSignature(SIGNATURE.inputs, Schema([ColSpec("double", "prediction")]))),
    "kinds": (
        Answer(types),
        ModelSignature(
            Schema(
                [*(ColSpec(kind, kind) for kind in KINDS), ColSpec("long", "o", required=False)]
            ),
            Schema([ColSpec("string", "prediction")]),
        ),
    ),
    "optional": (
        Seen(),
        ModelSignature(
            Schema(
                [
                    *(ColSpec(kind, kind, required=False) for kind in KINDS),
                    ColSpec(Array("boolean"), "booleans", required=False),
                    ColSpec(Array("string"), "strings", required=False),
                ]
            )
        ),
    ),
}


def main(directory: Path) -> None:
    """Save all, and register two versions of the plain one."""
    for name, (model, signature) in MODELS.items():
        mlflow.pyfunc.save_model(
            directory / name, python_model=model, signature=signature, pip_requirements=["mlflow"]
        )
    mlflow.set_tracking_uri(f"sqlite:///{directory / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    client.create_registered_model("plain")
    for name in ("plain", "picky"):
        client.create_model_version("plain", source=str(directory / name))
    client.set_registered_model_alias("plain", "production", "1")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
