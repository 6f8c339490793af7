"""The process in which the gate measures a version, loaded and scored as it would be served.

Run as `cloche/launch.py cloche.probing`; see `cloche.training.gate.model_probe`. This is one
of the few modules that import both training and serving: the gate uses the code of a model host.
"""

import gc
import warnings

from cloche.processes import supervisor


def main() -> None:
    """Probe one model in a supervised process."""
    supervisor.run(_probe, "cloche-gate")


def _probe() -> None:
    # A model's warnings are for the people who trained it; the gate reads only its predictions.
    warnings.simplefilter("ignore")
    gc.disable()  # garbage collection takes a sixth of the import time, and finds few cycles
    from cloche.serving.host import rehearsal  # noqa: PLC0415
    from cloche.training.child_process import given_folder  # noqa: PLC0415
    from cloche.training.gate import model_probe  # noqa: PLC0415

    gc.enable()
    model_probe.main(given_folder(), rehearsal)
