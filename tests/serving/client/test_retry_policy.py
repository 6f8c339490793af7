"""When a client asks again."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.client.retry_policy import Retries, retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@given(st.integers(1, 50), st.floats(0, 1000), st.floats(0, 1))
def test_a_wait_of_ones_own_has_a_limit_and_is_no_shorter_than_the_server_says(
    attempt, wait, jitter
):
    assert Retries(attempts=100, longest=2.0).pause(attempt, None, jitter) <= 2.0
    assert Retries(attempts=100).pause(attempt, wait, jitter) >= wait


def test_waits_may_double_and_the_last_attempt_is_the_last():
    retries = Retries(attempts=4, first=0.5)
    assert [retries.pause(attempt, None, 1.0) for attempt in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, None]


def test_two_clients_do_not_come_back_together():
    assert Retries().pause(1, 1.0, 0.1) != Retries().pause(1, 1.0, 0.9)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (format_datetime(NOW + timedelta(seconds=9), usegmt=True), 9.0),
        (format_datetime(NOW - timedelta(seconds=9), usegmt=True), 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_a_server_asks_for_a_wait_in_seconds_or_by_a_date(text, seconds):
    assert retry_after({"retry-after": text}, NOW) == seconds
    assert retry_after({}, NOW) is None
