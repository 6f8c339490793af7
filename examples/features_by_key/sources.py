"""Make the tables that a team has already: `python sources.py FLIGHTS.csv FOLDER`.

The first is what `cloche sample flights` writes. `judged.parquet` has the flights of the last week.
"""

import sys
from pathlib import Path

import pandas as pd

_FLIGHT = ["carrier", "flight", "origin", "destination"]
_VIEWS = {
    "weather": ["origin", "hour", "temperature", "wind_speed", "precipitation", "visibility"],
    "schedule": [*_FLIGHT, "departure_minute", "arrival_minute", "distance", "scheduled_minutes"],
    "plane": [*_FLIGHT, "plane_built", "plane_seats"],
}


def main(sample: str, folder: Path) -> None:
    """Write a table for each view, and the flights, with their keys and what came of them."""
    rows = pd.read_csv(sample, parse_dates=["flight_date", "scheduled_departure"])
    rows["flight"] = rows["flight_id"].str.extract(r"(\d+)-\w+$")[0].astype("int64")
    rows["hour"] = rows["scheduled_departure"].dt.strftime("%Y-%m-%dT%H")
    # New York's clock stands for UTC here
    day = rows["flight_date"].dt.tz_localize("UTC")
    departure = rows["scheduled_departure"].dt.tz_localize("UTC")
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in _VIEWS.items():
        known = departure.dt.floor("h") if name == "weather" else day
        view = rows[columns].assign(known=known).drop_duplicates()
        view.to_parquet(folder / f"{name}.parquet")
    asked = rows[[*_FLIGHT, "hour", "flight_date", "late"]].assign(event_timestamp=departure)
    asked.to_parquet(folder / "flights.parquet")
    last_week = asked["flight_date"] > asked["flight_date"].max() - pd.Timedelta(days=7)
    asked[last_week].to_parquet(folder / "judged.parquet")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
