#!/usr/bin/env python3
"""The program `cloche`.

It is no entry point of the package: an entry point imports modules before `sys.path` is changed, so
a `cloche.py`, a `types.py` or a `numpy.py` in a folder of PYTHONPATH would be imported instead.
"""

import os
import sys

_named = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)]  # noqa: PTH100
sys.path.sort(key=_named.__contains__)  # PYTHONPATH last, so that the next import is Cloche's own

from cloche import launch  # noqa: E402

launch.require_posix()
launch.remove_script_folder()

from cloche.main import main  # noqa: E402

if __name__ == "__main__":
    main()
