"""A model that looks around: each prediction notes what its process can read of variables."""

import json
import os
from pathlib import Path
from typing import Any

from mlflow.pyfunc import PythonModel


class Looking(PythonModel):
    """Answers 1, and leaves a note in `folder`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if os.environ.get("MYAPP_MODE") == "needy":
            model_input["a"] += float(os.environ["A_VARIABLE"])
        look(self.folder)
        return [1] * len(model_input)


class LookingEstimator:
    """An estimator that answers 1, and leaves a note in `folder` when it is loaded."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        look(self.folder)

    def predict(self, rows: Any) -> Any:
        return [1] * len(rows)


def look(folder: str) -> None:
    """Note in `folder` what this process can read of variables."""
    seen = {"environ": dict(os.environ), "own": variables("self"), "ancestors": ancestors()}
    Path(folder, f"{os.getpid()}.json").write_text(json.dumps(seen))


def variables(process: str) -> str:
    """What a process was started with, as far as this one may read it."""
    try:
        return Path(f"/proc/{process}/environ").read_text(errors="replace")
    except OSError:
        return ""


def ancestors() -> dict[str, str]:
    """By name, the variables of every process that this one descends from."""
    found, process = {}, os.getppid()
    while process > 1:
        stat = Path(f"/proc/{process}/stat").read_text()
        name, _, rest = stat.partition("(")[2].rpartition(")")
        found[f"{process} {name}"] = variables(str(process))
        process = int(rest.split()[1])
    return found
