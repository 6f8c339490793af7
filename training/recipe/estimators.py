"""Imports estimator classes by dotted path, and checks that a recipe's settings fit them.

An estimator is a class with `fit`, `predict` and `get_params`. The standard library has no
estimators, so its modules are never imported.
"""

import importlib
import inspect
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from cloche.training.recipe.metric_catalog import Task
from cloche.training.recipe.sections import Estimator, Search
from cloche.training.recipe.suggestions import suggestion

_PACKAGES = {"sklearn": "scikit-learn", "imblearn": "imbalanced-learn", "skl2onnx": "skl2onnx"}
_METHODS = ("fit", "predict", "get_params")


class UnknownEstimatorError(Exception):
    """There is no estimator at a dotted path; the message says what was found, and the fix."""


def estimator_class(path: str) -> type[Any]:
    """Import the estimator class at a dotted path.

    Raises:
        UnknownEstimatorError: The module cannot be imported, or contains no such estimator.
    """
    module_name, _, name = path.rpartition(".")
    package = module_name.partition(".")[0]
    if package in sys.stdlib_module_names:
        raise UnknownEstimatorError(f"{package} is part of Python and holds no estimators")
    if find_spec(package) is None:
        install = _PACKAGES.get(package, package.replace("_", "-"))
        raise UnknownEstimatorError(f"no module {package!r}; run: pip install {install}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UnknownEstimatorError(f"no module {error.name!r}; {_elsewhere(path)}") from None
    except Exception as error:  # the import of any package may raise any error
        raise UnknownEstimatorError(f"importing {module_name} fails: {error}") from error
    found = getattr(module, name, None)
    if found is None:
        raise UnknownEstimatorError(f"{module_name} has no {name!r}; {_elsewhere(path)}")
    lacking = [method for method in _METHODS if not callable(getattr(found, method, None))]
    if not inspect.isclass(found) or lacking:
        raise UnknownEstimatorError(
            f"is no estimator: it has no {', '.join(lacking)}"
            if inspect.isclass(found)
            else "is no class"
        )
    return found


def problems_of(
    estimator: Estimator | None, *, search: Search | None, task: Task | None
) -> list[str]:
    """Return the disagreements between an estimator, its settings, the search and the task.

    Args:
        estimator: Estimator section of the recipe; None if it is not valid, which leaves nothing to
            check.
        search: Search section of the recipe; None if there is none, or it is not valid.
        task: Task of the recipe; None if it is not valid.
    """
    if estimator is None:
        return []
    try:
        found = estimator_class(estimator.class_)
    except UnknownEstimatorError as error:
        return [f"estimator.class: {estimator.class_}: {error}"]
    return list(_misfits(found, estimator, search, task))


def _misfits(
    found: type[Any], estimator: Estimator, search: Search | None, task: Task | None
) -> Iterator[str]:
    arguments = inspect.signature(found).parameters
    takes_any = any(one.kind is one.VAR_KEYWORD for one in arguments.values())
    unknown = [name for name in estimator.params if name not in arguments and not takes_any]
    for name in unknown:
        yield f"estimator.params.{name}: unknown parameter; {suggestion(name, arguments)}"
    known = {name: value for name, value in estimator.params.items() if name not in unknown}
    try:
        instance = found(**known)
    except Exception as error:  # noqa: BLE001 - the constructor of any package may raise any error
        yield f"estimator.params: {found.__name__} refuses them: {error}"
        return
    yield from _refused_values(instance)
    if search is not None:
        parameters = instance.get_params()
        for name in search.space:
            if name not in parameters and not takes_any:
                yield f"search.space.{name}: unknown parameter; {suggestion(name, parameters)}"
    yield from _wrong_task(instance, task)


def _refused_values(instance: Any) -> Iterator[str]:
    # scikit-learn checks values only when it fits; checked here, a mistake is reported before any
    # work. LightGBM and XGBoost inherit the method but declare no constraints that it could check.
    if not hasattr(instance, "_parameter_constraints"):
        return
    try:
        instance._validate_params()
    except ValueError as error:
        yield f"estimator.params: {error}"


def _wrong_task(instance: Any, task: Task | None) -> Iterator[str]:
    name = type(instance).__name__
    kind = getattr(instance, "_estimator_type", None) or _tagged_kind(instance)
    wanted = "regressor" if task == "regression" else "classifier"
    if task is not None and kind in {"classifier", "regressor"} and kind != wanted:
        yield f"estimator.class: {name} is a {kind}, and a {task} task needs a {wanted}"
    elif task in {"binary", "multiclass"} and not hasattr(instance, "predict_proba"):
        yield (
            f"estimator.class: {name} gives no probabilities, and a {task} task needs them; "
            "take a classifier with predict_proba, like sklearn.linear_model.LogisticRegression"
        )


def _tagged_kind(instance: Any) -> str | None:
    tags = getattr(instance, "__sklearn_tags__", None)
    kind: str | None = tags().estimator_type if tags is not None else None
    return kind


def _elsewhere(path: str) -> str:
    """Return a hint: where else a class of that name is, or what the module contains instead."""
    module_name, _, name = path.rpartition(".")
    if module_name.partition(".")[0] == "sklearn":
        from sklearn.utils.discovery import all_estimators  # noqa: PLC0415 - it imports all of sklearn

        found = {
            known: f"{one.__module__.partition('._')[0]}.{known}" for known, one in all_estimators()
        }
        hint = suggestion(name, found)
        near = hint.removeprefix("did you mean ").strip("'?")
        return f"did you mean {found[near]}?" if near in found else "see scikit-learn's reference"
    module = sys.modules.get(module_name)
    public = [known for known in vars(module or object) if not known.startswith("_")]
    return suggestion(name, public)
