"""`cloche score`: turns options into a batch job of `cloche.serving.batch`."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import Any

import click
from rich.console import Console

from cloche.processes import child_variables, quick_imports
from cloche.registry import env_manager
from cloche.serving.batch.input.formats.catalog import INPUT_FORMATS
from cloche.serving.batch.job.options import (
    PREDICT_SECONDS,
    JobOptions,
)
from cloche.serving.batch.output.formats.catalog import OUTPUT_FORMATS
from cloche.serving.cli.dates import day_of, fill_date, has_date
from cloche.serving.errors import RESUME, JobFailed, SettingsError
from cloche.values.passwords import without_password

HELP = """Score a table of any size, in parts; nothing is lost or doubled.

MODEL_URI is models:/NAME@production or any other MLflow model URI; the version behind it is pinned
when the job starts, with the stages that prepare its rows (docs/stages.md). INPUT is a file, a
glob, a directory or a URI like s3://BUCKET/day/, in CSV, JSON lines, Parquet or Arrow; with --query
it is a SQLAlchemy URL; - is standard input. OUTPUT is a file that ends in .parquet, .csv or .jsonl,
or a directory of parts, and appears under its name when it is complete; - is standard output. Rows
that the model refuses are written to a quarantine file beside it, with row number (from 0) and
reason; the exit code is then 4.

An OUTPUT in an object store (s3://, gs://, abfs:// and others that fsspec supports) has the same
files, uploaded after all rows are scored; manifest and _SUCCESS are last. Endpoint and credentials
come from the environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on. Unfinished parts are in
jobs/ of --cache-dir. If they are lost, --resume begins again on any machine, with the same version.

For a daily job, write {date} or {date:%Y/%m/%d} into INPUT, OUTPUT or the query, and give the day
by --date; yesterday is computed in the time zone TZ.

\b
Example:
  cloche score models:/flight-delay@production \\
    flights.parquet scores.parquet --id-column flight
  cloche score models:/flight-delay@production \\
    flights.csv scores.csv --keep --resume
  cloche score models:/flight-delay/1 \\
    'days/*.parquet' scores/ --workers 2 --max-bad-rows 1%
  cat flights.csv | cloche score models:/flight-delay@production - - \\
    --input-format csv
  cloche score models:/flight-delay@production \\
    flights.parquet spark/ --engine spark
  cloche score models:/flight-delay@production \\
    '{date}.csv' 'date={date}/' --date 2013-11-01
  cloche score models:/flight-delay@production \\
    s3://flights/day/ s3://scores/day/ --resume
"""

_BEGIN_ANEW = "The job cannot go on from there: run it again, with all of its input."
_DEFAULTS: dict[str, Any] = {one.name: one.default for one in fields(JobOptions)}


@click.command(
    help=HELP,
    short_help="Score a table of any size, in restartable parts.",
    context_settings={"auto_envvar_prefix": "CLOCHE_SCORE", "show_default": True},
)
@click.argument("model", metavar="MODEL_URI")
@click.argument("source", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@click.option(
    "--before",
    metavar="URI",
    default=_DEFAULTS["before"],
    show_default="the version's tag cloche.before",
    help="The stage that prepares the rows for the model, or none if INPUT has prepared rows.",
)
@click.option(
    "--input-format",
    type=click.Choice(INPUT_FORMATS),
    show_default="by the name",
    help="How the input is written.",
)
@click.option(
    "--output-format",
    type=click.Choice(OUTPUT_FORMATS),
    show_default="by the name",
    help="How the output is written.",
)
@click.option(
    "--options",
    "reading",
    metavar="YAML",
    show_default="those of the training",
    help="How CSV input is written, as data.options of a recipe: '{sep: \";\", encoding: cp949}'. "
    "Those that are not named are as the version's training had them.",
)
@click.option("--query", metavar="SQL", help="Score the rows that this selects.")
@click.option(
    "--date", "day", metavar="DAY", help="2013-11-01, yesterday or today, where {date} stands."
)
@click.option(
    "--id-column",
    "id_columns",
    multiple=True,
    metavar="NAME",
    help="Input column that goes beside the predictions. May be repeated.",
)
@click.option("--keep", is_flag=True, help="All input columns go beside the predictions.")
@click.option(
    "--stamp",
    "stamped",
    is_flag=True,
    help="Name model, version, stages and run in each row, and not only in Parquet's metadata.",
)
@click.option(
    "--resume", is_flag=True, help="Go on with a job that did not finish, if there is one."
)
@click.option("--overwrite", is_flag=True, help="Replace what is there, and begin anew.")
@click.option(
    "--max-bad-rows",
    metavar="N|P%",
    show_default="any number, but not all",
    help="Fail when more rows are refused.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    show_default="one for each core",
    help="Processes that score.",
)
@click.option(
    "--predict-timeout",
    type=click.FloatRange(min=0, min_open=True),
    show_default=f"{PREDICT_SECONDS:g}",
    metavar="SECONDS",
    help="How long one call of the model may take. One that takes longer is given fewer rows, and "
    "a single row on which it does goes into the quarantine.",
)
@click.option(
    "--engine",
    "engine_name",
    envvar="CLOCHE_SCORE_ENGINE",
    type=click.Choice(["local", "spark"]),
    default="local",
    help="What scores: processes on this machine, or Apache Spark.",
)
@click.option(
    "--spark-master",
    metavar="URL",
    envvar=["CLOCHE_SCORE_SPARK_MASTER", "SPARK_MASTER"],
    show_default="SPARK_MASTER, or Spark's own configuration, or all cores here",
    help="Where Spark is: spark://HOST:PORT, yarn, k8s://URL or local[N]. Its executors must see "
    "input and output under the same names; for an OUTPUT in a store, or with --env-manager, "
    "--cache-dir.",
)
@click.option(
    "--part-rows",
    type=click.IntRange(min=1),
    default=_DEFAULTS["part_rows"],
    metavar="N",
    help="Most rows of a part; text, of which nobody counts rows first, is cut at N times 128 "
    "bytes.",
)
@env_manager.cache_dir(
    "cache",
    "Where versions and environments are kept, and unfinished jobs of an OUTPUT in a store.",
)
@click.option(
    "--acceleration/--no-acceleration",
    default=_DEFAULTS["acceleration"],
    help="Whether a version's accelerated twin may answer in its place.",
)
@env_manager.option("score")
@env_manager.host_env("score")
@click.option(
    "--track/--no-track",
    "tracked",
    default=_DEFAULTS["tracked"],
    help="Make the job a run in MLflow.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def score(
    source: str, output: str, *, input_format: str | None, output_format: str | None,
    reading: str | None, query: str | None, day: str | None, max_bad_rows: str | None,
    workers: int | None, predict_timeout: float | None, engine_name: str, spark_master: str | None,
    host_env: tuple[str, ...], as_json: bool, **options: Any,
) -> Any:  # fmt: skip
    """Run the command; see HELP."""
    source, output, query = _on_day(day, source, output, query or "")
    on_spark = engine_name == "spark"
    _refuse_contradictions(
        source, output, query=query, resume=options["resume"], as_json=as_json, on_spark=on_spark,
        workers=workers, time_limit=predict_timeout, manager=options["env_manager"],
    )  # fmt: skip
    try:
        child_variables.check_extra_names(host_env)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    # These imports take seconds: they follow the checks of options, and those after
    # `prepare` run while the workers import the same modules.
    from cloche.serving.batch.job import silence_notice, worker_count  # noqa: PLC0415
    from cloche.serving.batch.scoring.kept_proofs import KeptProofs  # noqa: PLC0415
    from cloche.serving.batch.scoring.local_engine import LocalEngine  # noqa: PLC0415

    count = workers or worker_count.workers()
    ahead = 4 * count if output == "-" else None
    manager, cache = options["env_manager"], options["cache"]
    console = Console(stderr=True, highlight=False)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    interpreter = partial(env_manager.interpreter, manager=manager, cache=cache, say=say)
    local = LocalEngine(
        count, ahead, host_env, interpreter=interpreter, say=say,
        time_limit=predict_timeout or PREDICT_SECONDS, proofs=KeptProofs(cache),
    )  # fmt: skip
    say(f"pinning {without_password(options['model'])}")
    with local, silence_notice.report_silence(say):
        if not on_spark and manager == env_manager.LOCAL:
            local.prepare(options["model"] if options["acceleration"] else "")
        with quick_imports.without_collection():
            from cloche.serving.batch import run, stream_job  # noqa: PLC0415
            from cloche.serving.batch.input import inputs  # noqa: PLC0415
            from cloche.serving.batch.input.csv_options import parsed  # noqa: PLC0415
            from cloche.serving.batch.job.progress import progress  # noqa: PLC0415
            from cloche.serving.batch.job.refusal_limit import Limit  # noqa: PLC0415
            from cloche.serving.batch.output.layout import describe  # noqa: PLC0415
            from cloche.serving.batch.spark.engine import SparkEngine  # noqa: PLC0415

        request = JobOptions(
            limit=Limit.parse(max_bad_rows), workers=count, options=parsed(reading), **options
        )
        described = describe(output, output_format)
        given: inputs.Inputs
        if source == "-":
            stream = silence_notice.watched(sys.stdin.buffer, "standard input")
            given = inputs.Stream(stream, input_format)
        elif query:
            given = inputs.Query(source, query, request.part_rows)
        else:
            given = inputs.Files(source, input_format)
        with (
            _explained(host_env, repeatable=given.repeatable and output != "-"),
            progress(console) as on_progress,
        ):
            if output == "-":
                return stream_job.score(
                    request, given, described, engine=local,
                    sink=silence_notice.watched(sys.stdout.buffer, "standard output"),
                    refused=lambda line: click.echo(line, err=True, nl=False),
                    say=say, on_progress=on_progress,
                )  # fmt: skip
            engine = (
                SparkEngine(spark_master, host_env, interpreter=interpreter) if on_spark else local
            )
            outcome = run.score(
                request, given, described, engine=engine, say=say, on_progress=on_progress
            )
    if as_json:
        click.echo(
            json.dumps({"done": outcome.fresh, "output": str(described), **outcome.manifest})
        )
    else:
        page = described.place.shown(described.beside("report.html"))
        _print_result(outcome.manifest, output, page, fresh=outcome.fresh)
    return outcome


@contextmanager
def _explained(host_env: tuple[str, ...], *, repeatable: bool) -> Iterator[None]:
    """Add to a failure's message the variables that the model lacks, and how the job goes on.

    Raises:
        JobFailed: The failure of the block, with the longer message.
    """
    try:
        yield
    except JobFailed as failure:
        message = child_variables.with_fix(str(failure), os.environ, host_env)
        if not repeatable:
            message = message.replace(RESUME, _BEGIN_ANEW)
        raise type(failure)(message) from failure


def _on_day(day: str | None, *texts: str) -> list[str]:
    named = [text for text in texts if has_date(text)]
    if day is None:
        if named:
            raise SettingsError(f"{named[0]}: say which day by --date, like --date yesterday.")
        return list(texts)
    if not named:
        raise SettingsError(f"--date {day}: write {{date}} into INPUT or OUTPUT, where it belongs.")
    which = day_of(day, datetime.now().astimezone())
    return [fill_date(text, which) for text in texts]


def _print_result(record: dict[str, Any], output: str, page: str, *, fresh: bool) -> None:
    from cloche.serving.batch.report.render import nulls  # noqa: PLC0415  # a slow import

    if fresh:
        click.echo(f"{record['scored']:,} rows are in {output} after {record['seconds']:.1f} s.")
    else:
        click.echo(f"{output} is finished already: {record['scored']:,} rows. Nothing was done.")
    if record["predictors"]["onnx"]:
        click.echo(f"{record['predictors']['onnx']:,} of them by the accelerated twin.")
    if record["refused"]:
        click.echo(f"{record['refused']:,} rows are in quarantine:")
        for reason, count in record["reasons"].items():
            click.echo(f"  {count:,} times {reason}")
        if record.get("advice"):
            click.echo(record["advice"])
    for line in nulls(record):
        click.echo(line)
    if record["drift"]:
        click.echo(record["drift"])
    click.echo(f"Report: {page}")


def _refuse_contradictions(
    source: str, output: str, *, query: str, resume: bool, as_json: bool, on_spark: bool,
    workers: int | None, time_limit: float | None, manager: str,
) -> None:  # fmt: skip
    """Refuse options that contradict each other.

    Raises:
        SettingsError: Two options contradict each other, or a tool for `manager` is missing.
    """
    if on_spark and output == "-":
        raise SettingsError(
            "With --engine spark the executors write files, and OUTPUT - is standard output: "
            "name a file or directory as OUTPUT, or leave --engine spark out."
        )
    if on_spark and workers:
        raise SettingsError(
            "--workers are processes on this machine; with --engine spark the cores are those of "
            "its executors, for instance --spark-master local[2]."
        )
    if on_spark and time_limit:
        raise SettingsError(
            "--predict-timeout ends worker processes of this machine, and executors belong to "
            "Spark: leave it out with --engine spark, or score here."
        )
    if manager != env_manager.LOCAL:
        try:
            env_manager.tool_command(manager)
        except env_manager.ManagerMissing as error:
            raise SettingsError(str(error)) from error
    if output == "-" and (as_json or resume):
        raise SettingsError(
            "OUTPUT - writes the predictions to standard output: leave --json and --resume out, or "
            "name a file as OUTPUT."
        )
    if source == "-" and resume:
        raise SettingsError(
            "INPUT - is standard input, which can be read only once: leave --resume out, or name a "
            "file as INPUT."
        )
    if query and source == "-":
        raise SettingsError(
            "--query needs a SQLAlchemy URL as INPUT, like sqlite:///shop.db, and INPUT is -."
        )
