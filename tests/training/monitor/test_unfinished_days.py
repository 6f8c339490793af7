"""A day without its labels is unfinished, by what older days have."""

from cloche.training.monitor.logged_days import LoggedDay, unfinished_days


def days(*labelled: int, lag: float = 3.0) -> list[LoggedDay]:
    """Days of 100 rows, with so many labels each."""
    return [
        LoggedDay("1", at, 100, 100.0, count, lag if count else None)
        for at, count in enumerate(labelled)
    ]


def test_the_last_days_are_unfinished_while_labels_are_on_their_way():
    assert list(unfinished_days(days(98, 97, 98, 96, 40, 0))) == [4, 5]


def test_a_model_of_which_few_rows_ever_get_labels_has_finished_days():
    assert list(unfinished_days(days(60, 20, 21, 19, 20, 3))) == [1, 5]


def test_a_first_day_needs_half_of_its_labels():
    assert list(unfinished_days(days(30))) == [0]
    assert list(unfinished_days(days(55))) == []


def test_a_day_that_lacks_labels_at_an_age_at_which_older_ones_had_them_is_late():
    found = unfinished_days(days(98, 97, 10, 98, 98, 98, 98, 0, lag=3.0))

    assert found[2].startswith("late: 10% of its rows")
    assert not found[7].startswith("late")
