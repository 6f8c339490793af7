"""The hunt: a row on which twin and original disagree by the rules of serving. There is none."""

from functools import cache
from math import inf, nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.training.acceleration.conversion.trees import consists_of_trees, thresholds
from cloche.training.acceleration.onnx_session import Session
from cloche.training.acceleration.original_model import OriginalModel
from cloche.training.acceleration.proof.equivalence import TOLERANCE
from tests.training.acceleration import zoo

hunt = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@cache
def prey(family: str) -> tuple[OriginalModel, Session]:
    """An original and its twin."""
    original, twin, _ = zoo.accelerated(family)
    return original, Session(twin.graph, original.inputs, len(original.classes))


@cache
def corners(family: str) -> tuple[float, ...]:
    """Thresholds of the family's trees, with the numbers next to them."""
    last = prey(family)[0].pipeline.steps[-1][1]
    if not consists_of_trees(last):
        return (0.0,)
    found = np.concatenate([values for _, values in thresholds(last)])
    single = found.astype(np.float32)
    points = [found, single, (single + np.nextafter(single, np.float32(inf)).astype(float)) / 2]
    near = [np.nextafter(np.concatenate(points), to) for to in (-inf, inf)]
    return tuple(np.unique(np.concatenate([*points, *near])).tolist())


def agree(family: str, rows: pd.DataFrame) -> None:
    """What serving takes from the twin is what the original answers."""
    original, session = prey(family)
    single = [rows.iloc[[at]].reset_index(drop=True) for at in range(len(rows))]
    scores = np.concatenate([session.scores(row) for row in single])
    answered = np.isfinite(scores.reshape(len(rows), -1)).all(axis=1)
    if not answered.any():
        return  # serving asks the original
    # must not raise: the twin gave an answer
    expected, labels = original.answers(rows[answered].reset_index(drop=True))
    if not original.classes:
        apart = np.abs(scores[answered] - expected)
        assert (apart <= TOLERANCE * np.maximum(1, np.abs(expected))).all()
        return
    for own, other, label in zip(scores[answered], expected, labels, strict=True):
        _same_word(original, own, other, label)


def _same_word(original: OriginalModel, scores, expected, label) -> None:
    assert np.abs(scores - expected).max() <= TOLERANCE
    if original.threshold is not None:
        over = scores[original.positive] - original.threshold
        if abs(over) > 2 * TOLERANCE:
            assert (original.classes[original.positive] == label) == (over > 0)
        return
    second, first = np.sort(scores)[-2:]
    if first - second > 2 * TOLERANCE:
        assert original.classes[scores.argmax()] == label


@pytest.mark.breadth
@pytest.mark.parametrize("family", zoo.each(*zoo.FAMILIES, *zoo.BOOSTERS))
@given(data=st.data())
@hunt
def test_no_row_of_a_table_tells_twin_and_original_apart(family, data):
    numbers = st.floats() | st.floats(-100, 100) | st.sampled_from(corners(family))
    row = st.fixed_dictionaries(
        {
            "wind": numbers | st.just(nan),
            "gust": numbers,
            "hour": numbers | st.integers(-5, 30).map(float),
            "port": st.sampled_from(["JFK", "EWR", "Zürich", "", None]) | st.text(max_size=8),
            "gate": st.integers(0, 4),
        }
    )
    agree(family, pd.DataFrame(data.draw(st.lists(row, min_size=1, max_size=5))))


@pytest.mark.breadth
@pytest.mark.parametrize("recipe", zoo.each(*zoo.RECIPES))
@given(data=st.data())
@hunt
def test_no_row_tells_the_twin_of_a_recipe_and_its_original_apart(recipe, data):
    numbers = st.none() | st.floats() | st.sampled_from(corners(recipe))
    row = st.fixed_dictionaries(
        {
            "wind": numbers,
            "gust": numbers,
            "hour": st.integers(-(2**40), 2**40),
            "port": st.sampled_from(["JFK", "EWR", "Zürich", "", None, "3", "nan"]) | st.text(),
            "gate": st.integers(-2, 5),
        }
    )
    rows = pd.DataFrame(data.draw(st.lists(row, min_size=1, max_size=5)))
    agree(recipe, rows.astype({"wind": float, "gust": float}))


@pytest.mark.breadth
@pytest.mark.parametrize("family", zoo.each(*zoo.TEXTS))
@given(data=st.data())
@hunt
def test_no_text_tells_twin_and_original_apart(family, data):
    known = st.lists(st.sampled_from([*zoo.WORDS, "GOOD", "unseen"]), max_size=8)
    spaced = st.tuples(known, st.sampled_from([" ", "  ", "\n", "-", "'", "_", "."]))
    text = (
        spaced.map(lambda it: it[1].join(it[0])) | st.text() | st.text(st.characters(codec="ascii"))
    )
    rows = data.draw(st.lists(text, min_size=1, max_size=5))
    agree(family, pd.DataFrame({"said": rows}))
