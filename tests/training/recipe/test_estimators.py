"""Classes by dotted path, and what does not fit them."""

import re
import sys
from importlib.metadata import packages_distributions

import pytest

from cloche.training.recipe.estimators import UnknownEstimatorError, estimator_class, problems_of
from cloche.training.recipe.sections import Estimator
from tests.training.acceleration import zoo


def estimator(path: str, **params: object) -> Estimator:
    return Estimator.model_validate({"class": path, "params": params})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("catboost.CatBoostClassifier", "pip install catboost"),
        ("imblearn.ensemble.BalancedRandomForestClassifier", "pip install imbalanced-learn"),
        ("os.system", "part of Python"),
        ("sklearn.base.clone", "is no class"),
        ("sklearn.base.BaseEstimator", "has no fit, predict"),
        ("sklearn.preprocessing.StandardScaler", "has no predict"),
    ],
)
def test_what_is_no_estimator_is_refused_with_the_fix(path, message):
    with pytest.raises(UnknownEstimatorError) as caught:
        estimator_class(path)
    assert message in str(caught.value)


@pytest.mark.parametrize("module", ["sklearn", "optuna"])
def test_the_package_that_is_to_be_installed_has_the_module(module, monkeypatch):
    monkeypatch.setattr("cloche.training.recipe.estimators.find_spec", lambda _: None)
    with pytest.raises(UnknownEstimatorError) as caught:
        estimator_class(f"{module}.some.Estimator")
    package = re.search(r"run: pip install (\S+)$", str(caught.value))[1]
    assert package in packages_distributions()[module]


def test_modules_of_python_itself_are_not_even_imported():
    assert "antigravity" not in sys.modules
    with pytest.raises(UnknownEstimatorError):
        estimator_class("antigravity.Flight")
    assert "antigravity" not in sys.modules


def test_a_module_that_fails_on_import_is_a_message(tmp_path, monkeypatch):
    (tmp_path / "broken_estimators.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownEstimatorError, match="division by zero"):
        estimator_class("broken_estimators.Model")


def test_a_value_that_the_estimator_refuses_is_found():
    given = estimator("sklearn.linear_model.LogisticRegression", C=-1.0)
    (found,) = problems_of(given, search=None, task="binary")
    assert "'C' parameter" in found


@pytest.mark.parametrize("path", ["lightgbm.LGBMClassifier", "xgboost.XGBClassifier"])
def test_estimators_that_declare_no_constraints_have_no_problems(path):
    zoo.need(path.partition(".")[0])
    assert problems_of(estimator(path, max_depth=3), search=None, task="binary") == []
