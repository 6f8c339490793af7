"""What hosts need of MLflow, and its older releases lack: versions may have environments of theirs.

2.9 is the oldest release that is tested. No signature of a release has a type that it lacks.
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
    """A type that the release does not have: nothing is of it."""


AnyType: Any = getattr(schema, "AnyType", _Absent)
Array: Any = getattr(schema, "Array", _Absent)
Map: Any = getattr(schema, "Map", _Absent)
Object: Any = getattr(schema, "Object", _Absent)


def in_prediction(model: PyFuncModel) -> AbstractContextManager[Any]:
    """What MLflow's own `predict` runs the model's function in."""
    if _context is None:
        return nullcontext()
    known = {"model_id": model.model_id} if hasattr(model, "model_id") else {}
    found: AbstractContextManager[Any] = _context.set_prediction_context(_context.Context(**known))
    return found


def without_casts(specs: Sequence[Any], places: Collection[int]) -> Schema | None:
    """A schema of the columns, by which MLflow parses those at the places as they are."""
    if AnyType is not _Absent:
        return Schema(
            [
                ColSpec(AnyType(), spec.name, required=spec.required) if at in places else spec
                for at, spec in enumerate(specs)
            ]
        )
    cast = [spec for at, spec in enumerate(specs) if at not in places]
    named = all(spec.name is not None for spec in specs)
    if not named:  # columns are known by their places
        return Schema(list(specs))
    return Schema(cast) if cast else None
