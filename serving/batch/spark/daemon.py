"""The process on an executor that Spark forks its Python workers from.

It imports what every one of them needs before the first fork; else each takes seconds to do so, and
memory of its own.
"""

import os

from cloche import launch
from cloche.serving.batch.spark import PYTHONPATH_LATER

if named := os.environ.pop(PYTHONPATH_LATER, ""):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), named]))
    launch.order_path()

from pyspark.daemon import manager

from cloche.serving.batch.spark import guard, leaving

__all__ = ["guard", "leaving"]

if __name__ == "__main__":
    manager()
