"""Finds the changes of a signature that break clients; it reads schemas and loads no models."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, ParamSchema, Schema, TensorSpec

Spec = ColSpec | TensorSpec


def breaking_changes(
    serving: ModelSignature | None, judged: ModelSignature | None
) -> tuple[str, ...]:
    """Return the changes that break clients of the signature `serving`, one sentence each.

    A removed or retyped column, and a new required input, break a client; new optional inputs and
    new outputs do not. A version without a signature promises nothing that could break.
    """
    if serving is None:
        return ()
    if judged is None:
        return ("there is no signature any more",)
    return (
        *_inputs(serving.inputs, judged.inputs),
        *_outputs(serving.outputs, judged.outputs),
        *_params(serving.params, judged.params),
    )


def _inputs(serving: Schema | None, judged: Schema | None) -> Iterator[str]:
    if serving is None:
        return
    yield from _changed("input", serving, judged)
    before, after = _by_name(serving), _by_name(judged)
    for name, spec in after.items():
        required = getattr(spec, "required", True)
        if name not in before and required:
            yield f"input {name!r} is new and required"
        elif name in before and required and not getattr(before[name], "required", True):
            yield f"input {name!r} was optional and is required"


def _outputs(serving: Schema | None, judged: Schema | None) -> Iterator[str]:
    if serving is not None:
        yield from _changed("output", serving, judged)


def _changed(side: str, serving: Schema, judged: Schema | None) -> Iterator[str]:
    before, after = _by_name(serving), _by_name(judged)
    for name, spec in before.items():
        if name not in after:
            yield f"{side} {name!r} is gone"
        elif (old := _type(spec)) != (new := _type(after[name])):
            yield f"{side} {name!r} was {old} and is {new}"


def _params(serving: ParamSchema | None, judged: ParamSchema | None) -> Iterator[str]:
    before = {param.name: param for param in (serving.params if serving else ())}
    after = {param.name: param for param in (judged.params if judged else ())}
    for name, param in before.items():
        if name not in after:
            yield f"parameter {name!r} is gone"
        elif (param.dtype, param.shape) != (after[name].dtype, after[name].shape):
            yield f"parameter {name!r} was {param.dtype!s} and is {after[name].dtype!s}"


def _by_name(schema: Schema | None) -> dict[str | int, Spec]:
    """Return columns by name, or by position if they have no names."""
    specs: Sequence[Spec] = schema.inputs if schema is not None else ()
    return {
        position if spec.name is None else spec.name: spec for position, spec in enumerate(specs)
    }


def _type(spec: Spec) -> str:
    if isinstance(spec, TensorSpec):
        return f"{spec.type} of shape {tuple(spec.shape)}"
    kind: Any = spec.type
    return str(getattr(kind, "name", kind))
