"""What can be looked up about a flight before it departs, and by which keys."""

from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

DATA = Path(__file__).parent.resolve() / "data"

carrier, origin, destination, hour = (
    Entity(name=name, join_keys=[name], value_type=ValueType.STRING)
    for name in ("carrier", "origin", "destination", "hour")
)
flight = Entity(name="flight", join_keys=["flight"], value_type=ValueType.INT64)


def source(name: str) -> FileSource:
    """A table with the keys, the features and the time from which they were known."""
    return FileSource(name=name, path=str(DATA / f"{name}.parquet"), timestamp_field="known")


weather = FeatureView(
    name="weather",
    entities=[origin, hour],
    schema=[
        Field(name=name, dtype=Float64)
        for name in ("temperature", "wind_speed", "precipitation", "visibility")
    ],
    source=source("weather"),
)
schedule = FeatureView(
    name="schedule",
    entities=[carrier, flight, origin, destination],
    schema=[
        Field(name=name, dtype=Int64)
        for name in ("departure_minute", "arrival_minute", "distance", "scheduled_minutes")
    ],
    source=source("schedule"),
)
plane = FeatureView(
    name="plane",
    entities=[carrier, flight, origin, destination],
    schema=[Field(name="plane_built", dtype=Float64), Field(name="plane_seats", dtype=Float64)],
    source=source("plane"),
)
flight_features = FeatureService(name="flight_features", features=[weather, schedule, plane])
