"""One key at a time, laid over a recipe's values."""

import pytest

from cloche.training.recipe.overrides import OverrideError, apply


def test_an_override_replaces_one_value_and_leaves_the_rest():
    values = {"search": {"trials": 20, "seconds": 60}, "seed": 1}
    assert apply(values, "search.trials=5") == {"search": {"trials": 5, "seconds": 60}, "seed": 1}
    assert values["search"]["trials"] == 20


def test_the_value_is_read_as_yaml():
    assert apply({}, "gate.minimum={roc_auc: 0.7}") == {"gate": {"minimum": {"roc_auc": 0.7}}}
    assert apply({"search": {"trials": 1}}, "search=null") == {"search": None}
    assert apply({}, "data.query=SELECT a = b") == {"data": {"query": "SELECT a = b"}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.trials", "write key=value"), ("=5", "write key=value"),
        ("a..b=5", "write key=value"), ("seed=[", "not YAML"), ("seed.x=1", "'seed' is no mapping"),
    ],
)  # fmt: skip
def test_an_override_that_cannot_be_applied_is_named(override, message):
    with pytest.raises(OverrideError) as caught:
        apply({"seed": 1}, override)
    assert message in str(caught.value)
    assert override.partition("=")[0] in str(caught.value)
