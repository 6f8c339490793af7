"""YAML as people mean it, and its mistakes by line and column."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.training.recipe.yaml_document import (
    MAX_BYTES,
    DocumentError,
    parse,
    parse_value,
    render,
)
from cloche.training.recipe.yaml_document import render_value as one_line

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), trees, min_size=1, max_size=5))
def test_what_is_rendered_is_parsed_as_the_same_values(values):
    assert parse(render(values)).values == values


@given(st.none() | st.booleans() | st.integers() | st.text(max_size=40))
def test_a_value_on_one_line_is_parsed_as_the_same_value(value):
    line = one_line(value)
    assert "\n" not in line
    assert parse(f"key: {line}").values == {"key": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1.5", 1.5), (".5", 0.5), ("-.inf", -math.inf), ("010", 10), ("0x10", 16),
        ("0o10", 8), ("no", "no"), ("2013-01-31", "2013-01-31"), ("12:30", "12:30"), ("~", None),
        ("true", True), ("'true'", "true"), ("", None),
    ],
)  # fmt: skip
def test_words_mean_what_they_mean_in_yaml_1_2(text, value):
    assert parse_value(text) == value


def test_nan_is_a_number():
    assert math.isnan(parse_value(".nan"))


def test_every_value_is_found_by_its_line():
    lines = parse("a: 1\nb:\n  c: 2\n  d: [3,\n    4]\n").lines
    assert lines["b", "c"] == 3
    assert lines["b", "d", 1] == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# only a comment\n", "is empty"),
        ("- a\n- b\n", "expected keys and values"),
        ("a: 1\nb: [1,", "line 2, column 7: not YAML"),
        ("a: 1\n b: 2\n", "line 2, column 3: not YAML"),
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' is given twice"),
        ("a:\n  b: 1\n  b: 1\n", "line 3, column 3: the key 'b' is given twice"),
        ("a: &x [1]\nb: *x\n", "line 2, column 4: aliases"),
        ("a: !!python/object/apply:os.getcwd []\n", "line 1, column 4: not YAML"),
        ("a: !!set {x}\n", "not YAML"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("a: \0", "not YAML"),
        ("a: " + "[" * 2000, "nested too deeply"),
        ("a: " + "9" * 5000, "the number is too long"),
        ("a: " + "x" * MAX_BYTES, "is longer than"),
    ],
    ids=lambda said: repr(said[:20]),
)
def test_a_mistake_is_named_with_its_place(text, message):
    with pytest.raises(DocumentError) as caught:
        parse(text)
    assert message in str(caught.value)
