"""Substitutes for parts of MLflow that older releases lack, for versions in their own environments.

2.9 is the oldest release that is tested. A signature never has a type that the release with which
it was logged lacks.
"""

import importlib
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, Schema, schema

_context: Any = None
with suppress(ImportError):
    _context = importlib.import_module("mlflow.pyfunc.context")


class _Absent:
    """The substitute for a type that this release lacks; it has no instances."""


AnyType: Any = getattr(schema, "AnyType", _Absent)
Array: Any = getattr(schema, "Array", _Absent)
Map: Any = getattr(schema, "Map", _Absent)
Object: Any = getattr(schema, "Object", _Absent)


def in_prediction(model: PyFuncModel) -> AbstractContextManager[Any]:
    """Return the context manager in which MLflow's own `predict` calls the model's function."""
    if _context is None:
        return nullcontext()
    known = {"model_id": model.model_id} if hasattr(model, "model_id") else {}
    found: AbstractContextManager[Any] = _context.set_prediction_context(_context.Context(**known))
    return found


def without_casts(specs: Sequence[Any], places: Collection[int]) -> Schema | None:
    """Create a schema with which MLflow parses the columns at `places` without a cast."""
    if AnyType is not _Absent:
        return Schema(
            [
                ColSpec(AnyType(), spec.name, required=spec.required) if at in places else spec
                for at, spec in enumerate(specs)
            ]
        )
    cast = [spec for at, spec in enumerate(specs) if at not in places]
    named = all(spec.name is not None for spec in specs)
    if not named:  # without names, MLflow identifies columns by position, so none can be left out
        return Schema(list(specs))
    return Schema(cast) if cast else None
