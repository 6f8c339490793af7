"""What `cloche up --check` prints beside its two predictions."""

import pytest

from cloche.up.command import difference

ROW = {"label": 0, "score": 0.15994536239210277}


@pytest.mark.parametrize(
    ("batch", "predictor", "told"),
    [
        (ROW, "onnx", False),
        ({**ROW, "score": 0.1599453635050856}, "onnx", True),
        ({**ROW, "score": 0.1599453635050856}, "pyfunc", False),
    ],
)
def test_predictions_that_differ_in_their_last_digits_are_explained(batch, predictor, told):
    said = difference([ROW], batch, predictor)

    assert ("the accelerated twin answers" in said) == told
    assert bool(said) == told
