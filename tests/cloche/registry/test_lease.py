"""The rule of who may write, for any claim at any time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.registry.lease import Lease, blocking_lease

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLAIM = Lease("t1", "ana", NOON, NOON + timedelta(seconds=60))


@given(
    token=st.text(), holder=st.text(), since=st.datetimes(timezones=st.just(UTC)),
    until=st.datetimes(timezones=st.just(UTC)),
)  # fmt: skip
def test_a_claim_reads_as_it_was_written(token, holder, since, until):
    lease = Lease(token, holder, since, until)
    assert Lease.from_text(lease.to_text()) == lease


@pytest.mark.parametrize("text", [None, "", "soup", "{}", "[]", '{"token": 1}', "null"])
def test_what_cannot_be_read_claims_nothing(text):
    assert Lease.from_text(text) is None


@pytest.mark.parametrize(
    ("found", "token", "seconds", "blocks"),
    [
        (None, "t2", 0, False), (CLAIM, "t2", 0, True), (CLAIM, "t2", 59, True),
        (CLAIM, "t2", 60, False), (CLAIM, "t1", 0, False),
    ],
    ids=["nobody", "somebody", "just before it lapses", "lapsed", "one's own"],
)  # fmt: skip
def test_a_claim_of_somebody_else_is_in_the_way_until_it_lapses(found, token, seconds, blocks):
    now = NOON + timedelta(seconds=seconds)
    assert (blocking_lease(found, token, now) is not None) == blocks
