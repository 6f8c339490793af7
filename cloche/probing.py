"""The process of a probe: the gate measures a version that is loaded and asked as it is served.

`cloche/launch.py cloche.probing FOLDER`; see `cloche.training.gate.model_probe`. One of the few
places that know training and serving: the gate has a version loaded and asked by the code of a
model host.
"""

import gc
import sys
import warnings
from pathlib import Path

from cloche.processes import supervisor


def main() -> None:
    """Probe one model."""
    supervisor.run(_probe, "cloche-gate")


def _probe() -> None:
    # A model's warnings are for those who trained it; the gate reads its numbers.
    warnings.simplefilter("ignore")
    gc.disable()  # imports make few cycles and many objects: collecting is a sixth of their time
    from cloche.serving.host import rehearsal  # noqa: PLC0415
    from cloche.training.gate import model_probe  # noqa: PLC0415

    gc.enable()
    model_probe.main(Path(sys.argv[1]), rehearsal)
