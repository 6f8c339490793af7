"""The process of a probe: `cloche/launch.py cloche.training.gate FOLDER`; see `probe.py`."""

import gc
import sys
import warnings
from pathlib import Path

from cloche import supervisor


def main() -> None:
    """Probe one model."""
    supervisor.run(_probe, "cloche-gate")


def _probe() -> None:
    # A model's warnings are for those who trained it; the gate reads its numbers.
    warnings.simplefilter("ignore")
    gc.disable()  # imports make few cycles and many objects: collecting is a sixth of their time
    from cloche.training.gate import probe  # noqa: PLC0415

    gc.enable()
    probe.main(Path(sys.argv[1]))
