"""Which day `--date` means, and where it goes."""

from datetime import date, datetime

import pytest
from click.testing import CliRunner

from cloche.serving.cli.dates import day_of, fill_date
from cloche.serving.cli.score import score
from cloche.serving.errors import JobFailed, SettingsError

NOW = datetime.fromisoformat("2013-11-01T00:10:00-04:00")
DAY = date(2013, 11, 1)


@pytest.mark.parametrize(
    ("text", "day"),
    [("yesterday", date(2013, 10, 31)), ("today", DAY), ("2013-02-28", date(2013, 2, 28))],
)
def test_a_day_is_read_as_a_person_means_it(text, day):
    assert day_of(text, NOW) == day


@pytest.mark.parametrize("text", ["1.11.2013", "2013-02-29", "2013-11-01T04:00", ""])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(SettingsError, match="like 2013-11-01"):
        day_of(text, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scores/date={date}/", "scores/date=2013-11-01/"),
        ("s3://b/{date:%Y}/{date:%m}/{date:%d}.csv", "s3://b/2013/11/01.csv"),
        ("select '{1,2}'::int[] from t where day = '{date}'", None),
        ("rows.csv", "rows.csv"),
    ],
)
def test_the_day_stands_where_it_is_named_and_other_braces_stay(text, expected):
    assert fill_date(text, DAY) == (expected or text.replace("{date}", "2013-11-01"))


def test_an_input_that_has_not_come_yet_fails_and_is_no_wrong_usage(tmp_path):
    words = [f"{tmp_path}/{{date}}.csv", f"{tmp_path}/{{date}}.parquet", "--date", "2013-11-01"]
    error = CliRunner().invoke(score, ["models:/m/1", *words]).exception
    assert isinstance(error, JobFailed)
    assert "2013-11-01.csv: nothing is there" in str(error)
