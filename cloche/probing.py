"""The work of the process in which the gate measures a version, as it would be served.

Run by `cloche.training.child_process`; see `cloche.training.gate.model_probe`. This is one of the
few modules that import both training and serving: the gate uses the code of a model host.
"""

from contextlib import suppress
from importlib import import_module
from pathlib import Path

from cloche.processes.light_imports import without_array_libraries
from cloche.serving.host import serving_check
from cloche.training.gate import model_probe

PROCESS = "cloche-gate"

# What most versions import when they load; a fork of this process has it already.
for _usual in ("sklearn.ensemble", "mlflow.sklearn", "skops.io"):
    # a version that needs it reports the error
    with suppress(Exception), without_array_libraries():
        import_module(_usual)


def work(folder: Path) -> None:
    """Probe the model that the task file in `folder` names."""
    model_probe.main(folder, serving_check)
