"""The process on an executor from which Spark forks its Python workers.

It imports the workers' modules before the first fork; otherwise each worker would spend seconds and
memory on them. If a model will run, the process removes variables that models must not get.
"""

import os

from cloche import launch
from cloche.processes.child_variables import for_models
from cloche.serving.batch.spark import HOST_ENV, PYTHONPATH_LATER, READING, SPARKS_OWN, STAGE

if os.environ.get(STAGE) != READING:  # which needs the credentials of object stores
    extra_names = os.environ.get(HOST_ENV, "").split()
    ours = {name: os.environ[name] for name in (PYTHONPATH_LATER, STAGE) if name in os.environ}
    launch.restart_with({**for_models(os.environ, [*extra_names, *SPARKS_OWN]), **ours})

if named := os.environ.pop(PYTHONPATH_LATER, ""):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), named]))
    launch.order_path(named)

from pyspark.daemon import manager

from cloche.serving.batch.spark import safe_model, write_stage

__all__ = ["safe_model", "write_stage"]

if __name__ == "__main__":
    manager()
