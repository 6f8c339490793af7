"""The flights of each day, scored when they have arrived: two DAGs for Airflow 3.3 or later.

`flights_arrive` waits each night for the file of the day that has ended. Then the asset `flights`
has that day as a new partition, and `score_flights` scores it and makes the same partition of the
asset `flight_scores`. Leave `flights_arrive` out if a DAG of yours makes `flights`.

How a day is scored is written in `score-day`, which runs the `cloche` of an environment of its own:
Airflow and MLflow need different versions of fastapi. Airflow variables say where things are:

    score_day       path of the script `score-day`                     /srv/flights/score-day
    cloche          path of the command                                /srv/cloche/bin/cloche
    flights_folder  where days arrive in flights/ and go to scores/    /srv/flights
    quarantine      what a day with rows in quarantine is: warn, fail  warn
"""

import json
import logging
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.sdk import DAG, Asset, CronPartitionTimetable, Param, PartitionedAssetTimetable

TIME_ZONE = "America/New_York"  # whose days, and whose midnight
FLIGHTS = Asset("flights")
SCORES = Asset("flight_scores")

log = logging.getLogger(__name__)


def variable(name: str, default: str) -> str:
    """A template, so that no variable is looked up each time the scheduler reads this file."""
    return f"{{{{ var.value.get('{name}', '{default}') }}}}"


FOLDER = variable("flights_folder", "/srv/flights")


def day_before(time: datetime) -> str:
    """The day that had ended by then."""
    return f"{time.astimezone(ZoneInfo(TIME_ZONE)) - timedelta(days=1):%Y-%m-%d}"


def told(output: str) -> dict[str, int]:
    """What `score-day --json` said of the day, with a warning where it is one."""
    day = json.loads(output)
    if day["refused"]:
        log.warning("%d rows of %s are in quarantine", day["refused"], day["output"])
    return {name: day[name] for name in ("scored", "refused")}


def noted(context: Any, result: Any) -> None:
    """Leave the counts with the event of the asset, for whoever uses the scores."""
    context["outlet_events"][SCORES].extra = result


with DAG(
    "flights_arrive",
    # At midnight, for the day before. Its backfill makes any other days arrive.
    schedule=CronPartitionTimetable(
        "0 0 * * *", timezone=TIME_ZONE, run_offset=-1, key_format="%Y-%m-%d"
    ),
    catchup=False,
    doc_md=__doc__,
):
    BashSensor(
        task_id="wait",
        bash_command='test -e "$FILE"',
        env={"FILE": f"{FOLDER}/flights/{{{{ partition_key }}}}.csv"},
        mode="reschedule",
        poke_interval=60,
        timeout=timedelta(hours=6),  # who must have the scores at dawn is told by then
        retries=3,  # a night in which Airflow itself stumbles loses no day
        retry_delay=timedelta(minutes=1),
        outlets=[FLIGHTS],
    )

with DAG(
    "score_flights",
    schedule=PartitionedAssetTimetable(assets=FLIGHTS),
    catchup=False,
    max_active_runs=1,  # a job takes all cores
    params={"date": Param(None, type=["null", "string"], format="date")},
    user_defined_macros={"day_before": day_before},
    doc_md=__doc__,
):
    BashOperator(
        task_id="score",
        bash_command='"$SCORE_DAY" "$DAY" --json || [ "$?-$QUARANTINE" = 4-warn ]',
        env={
            "SCORE_DAY": variable("score_day", "/srv/flights/score-day"),
            "CLOCHE": variable("cloche", "/srv/cloche/bin/cloche"),
            "FOLDER": FOLDER,
            "QUARANTINE": variable("quarantine", "warn"),
            # Never by `logical_date`: it is None when an asset is the reason of the run.
            "DAY": "{{ partition_key or params.date or day_before(dag_run.run_after) }}",
        },
        append_env=True,
        output_processor=told,
        post_execute=noted,
        outlets=[SCORES],
    )
