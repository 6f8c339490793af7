"""The work of the process in which the gate measures a version, as it would be served.

Run by `cloche.training.child_process`; see `cloche.training.gate.model_probe`. This is one of the
few modules that import both training and serving: the gate uses the code of a model host.
"""

from contextlib import suppress
from importlib import import_module
from pathlib import Path

# What most versions import when they load; a fork of this process has it already. It comes before
# MLflow, because skops searches all modules that exist for each function of numpy and scipy.
for _usual in ("skops.io", "sklearn.ensemble"):
    with suppress(Exception):  # a version that needs it reports the error
        import_module(_usual)

from cloche.serving.host import serving_check  # noqa: E402
from cloche.training.gate import model_probe  # noqa: E402

PROCESS = "cloche-gate"


def work(folder: Path) -> None:
    """Probe the model that the task file in `folder` names."""
    model_probe.main(folder, serving_check)
