"""The exact requirements of a version, which MLflow needs to install in order to score it."""

from importlib.metadata import version
from typing import Any

from cloche.training.pipeline.module_packages import packages_by_module

_ALWAYS = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")


def exact_requirements(pipeline: Any) -> list[str]:
    """Pin the packages that loading and scoring `pipeline` imports, as sorted `name==version`."""
    names = set(_ALWAYS)
    for step in pipeline.named_steps.values():
        names.update(packages_by_module(type(step).__module__))
    return sorted(f"{name}=={version(name)}" for name in names)
