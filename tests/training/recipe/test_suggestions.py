"""Suggestions for mistyped names."""

from cloche.training.recipe.suggestions import suggestion


def test_the_nearest_name_is_suggested_whatever_its_case():
    assert suggestion("Cariers", ["origin", "carrier"]) == "did you mean 'carrier'?"


def test_without_a_near_name_all_are_listed():
    assert suggestion("zzz", ["origin", "carrier"]) == "there are origin, carrier"


def test_a_long_list_is_cut_and_says_so():
    assert suggestion("zzz", [f"column_{n}" for n in range(30)]).endswith("and 18 more")


def test_nothing_to_suggest_is_said():
    assert suggestion("a", []) == "there are none"
