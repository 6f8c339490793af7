"""A version's requirements are exact, and name nothing that scoring does not import."""

import re
from importlib.metadata import version

from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline

from cloche.training.packaging.requirements import exact_requirements


def test_every_requirement_is_pinned_to_what_is_installed():
    for line in exact_requirements(Pipeline([("model", DummyClassifier())])):
        name, pinned = re.fullmatch(r"([\w-]+)==(\S+)", line).groups()
        assert pinned == version(name)


def test_cloche_is_not_among_them():
    names = [line.partition("==")[0] for line in exact_requirements(Pipeline([("m", None)]))]
    assert names == ["mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops"]
