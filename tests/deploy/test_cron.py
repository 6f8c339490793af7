"""The crontab, read by crontab and run by cron itself, in a file system view of its own."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.deploy.conftest import BAD, DEPLOY, GOOD, Run
from tests.deploy.cron import require_cron, running_cron
from tests.deploy.test_daily import yesterday
from tests.online import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy")]

CRONTAB = DEPLOY / "cron" / "crontab"
SCHEDULE = "30 4 * * *"


@pytest.fixture(scope="module", autouse=True)
def cron() -> None:
    require_cron()


def test_cron_takes_the_crontab():
    subprocess.run(["crontab", "-n", CRONTAB], check=True)


@pytest.mark.breadth
def test_a_run_that_is_still_going_is_not_started_twice(run: Run, flights: Path):
    (flights / "score-day.log").write_text("of the run that is still going")
    with (flights / "score-day.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = run("nightly", GOOD, code=75)

    assert "still going" in answer.stdout
    assert (flights / "score-day.log").read_text() == "of the run that is still going"
    assert not (flights / "scores").exists()


@pytest.mark.breadth
def test_a_day_without_trouble_is_not_worth_a_mail(run: Run, flights: Path):
    answer = run("nightly", GOOD)
    assert answer.stdout + answer.stderr == ""
    assert "936 rows are in" in (flights / "score-day.log").read_text()


@pytest.mark.breadth
def test_rows_in_quarantine_are_worth_a_mail_that_says_why(run: Run, flights: Path):
    mail = run("nightly", BAD, code=4).stdout
    assert "3 rows are in quarantine" in mail
    assert "weekday" in mail
    assert (flights / "scores" / f"date={BAD}" / "_SUCCESS").exists()


def text_of(file: Path) -> str:
    """What is in a file by now."""
    return file.read_text() if file.exists() else ""


@pytest.mark.breadth
def test_cron_scores_yesterday_and_mails_what_went_wrong(flights, job, tmp_path_factory):
    """Two lines at the same minute: one with yesterday's file, one in a folder without it."""
    day = yesterday()
    shutil.copy(flights / "flights" / f"{GOOD}.csv", flights / "flights" / f"{day}.csv")
    late = tmp_path_factory.mktemp("late")
    line = CRONTAB.read_text()
    assert SCHEDULE in line
    crontab = (
        f"MLFLOW_TRACKING_URI={job['MLFLOW_TRACKING_URI']}\nXDG_CACHE_HOME={job['XDG_CACHE_HOME']}\n"
        + line.replace("/srv/flights", str(flights))
        .replace("/srv/cloche/bin", str(Path(sys.executable).parent))
        .replace(SCHEDULE, "* * * * *")
        + f"FOLDER={late}\n* * * * *  nightly\n"
    )
    with running_cron(tmp_path_factory.mktemp("view"), crontab) as mails:
        wait_for(lambda: "rows are in" in text_of(flights / "score-day.log"), seconds=120)
        wait_for(lambda: any("nothing is there" in text_of(mail) for mail in mails.iterdir()))
    assert len(pd.read_parquet(flights / "scores" / f"date={day}")) == 936
    mail = next(text for mail in mails.iterdir() if str(late) in (text := mail.read_text()))
    assert "To: root" in mail
    assert "not scored (exit code 1)" in mail
    assert f"flights/{day}.csv: nothing is there" in mail
