#!/usr/bin/env python3
"""The program `cloche`.

It is no entry point of the package, because those import it before anything can keep a `cloche.py`,
a `types.py` or a `numpy.py` in a folder of PYTHONPATH from being imported instead.
"""

import os
import sys

_named = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)]  # noqa: PTH100
sys.path.sort(key=_named.__contains__)  # what PYTHONPATH names comes last, for the next line

from cloche import launch  # noqa: E402

launch.require_posix()
launch.leave_script_folder()

from cloche.main import main  # noqa: E402

if __name__ == "__main__":
    main()
