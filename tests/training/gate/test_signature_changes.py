"""What breaks a client and what does not."""

import numpy as np
import pytest
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

from cloche.training.gate.signature_changes import breaking_changes


def schema(**columns: str) -> Schema:
    """Columns by name; a type that ends in `?` is optional."""
    return Schema(
        [
            ColSpec(kind.rstrip("?"), name, required=kind[-1] != "?")
            for name, kind in columns.items()
        ]
    )


def signature(inputs=None, outputs=None, params=None) -> ModelSignature:
    return ModelSignature(inputs or schema(hour="long"), outputs, params)


SERVING = signature(schema(hour="long", wind="double?"), schema(prediction="long"))


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ({"hour": "long", "wind": "double?"}, []),
        ({"wind": "double?", "hour": "long"}, []),
        ({"hour": "long?", "wind": "double?", "gust": "double?"}, []),
        ({"hour": "long"}, ["input 'wind' is gone"]),
        ({"hour": "string", "wind": "double?"}, ["input 'hour' was long and is string"]),
        ({"hour": "long", "wind": "double"}, ["input 'wind' was optional and is required"]),
        ({"hour": "long", "wind": "double?", "gust": "double"},
         ["input 'gust' is new and required"]),
    ],
)  # fmt: skip
def test_inputs(inputs, found):
    assert [
        *breaking_changes(SERVING, signature(schema(**inputs), schema(prediction="long")))
    ] == found


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ({"prediction": "long", "probability": "double"}, []),
        ({"probability": "double"}, ["output 'prediction' is gone"]),
        ({"prediction": "string"}, ["output 'prediction' was long and is string"]),
    ],
)
def test_outputs(outputs, found):
    assert [*breaking_changes(SERVING, signature(SERVING.inputs, schema(**outputs)))] == found


def test_outputs_without_names_are_compared_by_position():
    was, now = Schema([ColSpec("long")]), Schema([ColSpec("double")])
    assert breaking_changes(signature(outputs=was), signature(outputs=was)) == ()
    assert breaking_changes(signature(outputs=was), signature(outputs=now)) == (
        "output 0 was long and is double",
    )


def test_a_tensor_of_another_shape_is_another_type():
    def images(size):
        return signature(Schema([TensorSpec(np.dtype("float32"), (-1, size, size))]))

    assert breaking_changes(images(28), images(28)) == ()
    assert breaking_changes(images(28), images(32)) == (
        "input 0 was float32 of shape (-1, 28, 28) and is float32 of shape (-1, 32, 32)",
    )


def test_a_parameter_that_is_gone_or_retyped_breaks_and_a_new_one_does_not():
    def with_params(**kinds):
        params = [ParamSpec(name, kind, 1) for name, kind in kinds.items()]
        return signature(params=ParamSchema(params))

    assert breaking_changes(with_params(top="long"), with_params(top="long", deep="long")) == ()
    assert breaking_changes(with_params(top="long"), signature()) == ("parameter 'top' is gone",)
    assert len(breaking_changes(with_params(top="long"), with_params(top="double"))) == 1


def test_nothing_is_promised_where_there_is_no_signature():
    assert breaking_changes(None, SERVING) == ()
    assert breaking_changes(SERVING, None) == ("there is no signature any more",)
    assert breaking_changes(SERVING, signature(SERVING.inputs)) == ("output 'prediction' is gone",)
