"""Identifiers of rows, which readers compute."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pyarrow as pa
import pytest

from cloche.prediction_log.columns import EVENT_ID_SQL, MOMENT, event_id

NAME = "0192f0c0a1b27abc8def0123456789ab"


def test_an_event_id_is_a_uuid_of_version_7_that_tells_the_moment() -> None:
    """It sorts by time, and is another for each row of a segment."""
    moment = 1_700_000_000_123_456
    first, second = event_id(moment, NAME, 0), event_id(moment, NAME, 1)
    assert first != second
    assert first == event_id(moment, NAME, 0)
    read = UUID(first)
    assert (read.version, read.variant) == (7, "specified in RFC 4122")
    assert read.int >> 80 == moment // 1000


def test_duckdb_computes_the_same_event_id() -> None:
    """Readers in SQL get what `event_id` gives, also where digits lead with zeros."""
    duckdb = pytest.importorskip("duckdb")
    moments = [1_000, 1_700_000_000_123_456, 1_899_999_999_999_999]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    rows = pa.table(
        {
            "received_at": pa.array([epoch + timedelta(microseconds=m) for m in moments], MOMENT),
            "segment": [NAME] * 3,
            "place": pa.array([0, 7, 2_000_000], pa.int32()),
        }
    )
    found = duckdb.sql(f"SELECT {EVENT_ID_SQL} AS event_id FROM rows").fetchall()  # noqa: S608
    places = rows["place"].to_pylist()
    expected = [event_id(m, NAME, place) for m, place in zip(moments, places, strict=True)]
    assert [one for (one,) in found] == expected
