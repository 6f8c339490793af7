"""`cloche monitor`: compares what a model answered with what it was in training."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path

import click

from cloche import launch
from cloche.cli.page_option import PageFile
from cloche.cli.spinner import steps
from cloche.processes import quick_imports
from cloche.registry import env_manager as environments
from cloche.training.cli import options
from cloche.training.cli.evidence_link import evidence_link

HELP = """Compare what MODEL answered with what it was in training, day by day.

Quality where labels have arrived, an estimate where they have not, drift of inputs and scores, and
alarms: over all columns, slices and versions, one false alarm a quarter. Exit code 5 means that an
alarm goes on. Days are UTC.

\b
Example:
  cloche monitor flight-delay
  cloche monitor flight-delay --since 2026-11-01 --report week.html
  cloche monitor flight-delay --as-of 2026-11-20 --json
  cloche monitor flight-delay \\
    --webhook https://chat.example.com/hooks/abc
"""

_DAYS = 14
_DAY_FORMATS = click.DateTime(["%Y-%m-%d"])
_TIME_FORMATS = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


@dataclass(frozen=True)
class Monitored:
    """What decides the exit code: the number of alarms that go on."""

    alarms: int


@click.command(help=HELP, short_help="Compare a model's logged answers with its training.")
@click.argument("model")
@click.option(
    "--since", type=_DAY_FORMATS, metavar="DAY", help="The first day; by default 14 days."
)
@click.option("--until", type=_DAY_FORMATS, metavar="DAY", help="The last day; by default today.")
@click.option(
    "--as-of",
    type=_TIME_FORMATS,
    metavar="TIME",
    help="Only what had arrived by then, to make a past result again.",
)
@click.option(
    "--log",
    "destination",
    metavar="DESTINATION",
    show_default="CLOCHE_LOG, else the model's tag cloche.log",
    help="Where the predictions are logged.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--report", type=PageFile(), metavar="FILE", help="Write the HTML report there, too.")
@click.option("--webhook", metavar="URL", help="Post alarms that go on there, as JSON with a text.")
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the results for Prometheus's textfile collector there.",
)
@environments.option("monitor")
@options.cache
@environments.host_env("monitor")
def monitor(
    model: str,
    *,
    since: datetime | None,
    until: datetime | None,
    as_of: datetime | None,
    destination: str | None,
    as_json: bool,
    report: Path | None,
    webhook: str | None,
    metrics_file: Path | None,
    env_manager: str,
    cache: Path,
    host_env: tuple[str, ...],
) -> Monitored:
    """Run the command; see HELP."""
    options.check(env_manager, host_env)
    launch.interrupt_on_signals()
    moment = _in_utc(as_of) or datetime.now(UTC)
    last = _in_utc(until) or datetime.combine(moment.date(), time(), UTC)
    first = _in_utc(since) or last - timedelta(days=_DAYS)
    if first > last:
        raise click.UsageError(f"--since {first:%Y-%m-%d} is after the last day, {last:%Y-%m-%d}.")
    with steps(f"monitoring {model}") as say:
        # Not at the top: these imports take seconds, and `cloche --help` imports every command.
        with quick_imports.without_collection():
            from mlflow import MlflowClient  # noqa: PLC0415

            from cloche.prediction_log.lookup import find_log  # noqa: PLC0415
            from cloche.prediction_log.reading import Selection  # noqa: PLC0415
            from cloche.registry.connect_timeout import require_stores  # noqa: PLC0415
            from cloche.registry.env_manager import interpreter  # noqa: PLC0415
            from cloche.training.monitor import notices  # noqa: PLC0415
            from cloche.training.monitor.monitor import monitor as compare  # noqa: PLC0415
            from cloche.training.monitor.monitor import open_alarms  # noqa: PLC0415
            from cloche.training.monitor.monitor_run import record  # noqa: PLC0415
            from cloche.training.monitor.report import quality_plot, render  # noqa: PLC0415
            from cloche.training.monitor.version_reference import Probing  # noqa: PLC0415
            from cloche.training.promotion.registry import find_model, find_version  # noqa: PLC0415

        require_stores(to_write=True)
        client = MlflowClient()
        find_model(client, model)
        probing = Probing(
            extra_names=host_env,
            interpreter=partial(interpreter, manager=env_manager, cache=cache, say=say),
        )
        selection = Selection(model, first, last + timedelta(days=1), as_of=moment)
        found = compare(client, find_log(model, destination), selection, probing=probing, say=say)
        found["as_of"] = moment.isoformat(timespec="seconds")
        say("writing the run")
        plot = quality_plot(found)
        page = render(found, plot)
        newest = find_version(client, model, found["versions"][-1]["version"])
        run_id = record(client, found, plot=plot, page=page, training_run_id=newest.run_id)
        notes = [notices.set_tag(client, found, run_id)]
        link = evidence_link(client, run_id)
        alarms = open_alarms(found)
        if webhook and alarms:
            notes.append(notices.post(webhook, found, link))
    if report is not None:
        report.write_text(page, encoding="utf-8")
    if metrics_file is not None:
        notices.write_metrics(metrics_file, found)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _show(found)
        click.echo(f"Report: {report or link}")
    for note in filter(None, notes):
        click.echo(f"Note: {note}.", err=True)
    return Monitored(len(alarms))


def _in_utc(given: datetime | None) -> datetime | None:
    if given is None or given.tzinfo is not None:
        return given
    return given.replace(tzinfo=UTC)


def _show(found: dict) -> None:  # type: ignore[type-arg]
    """Print each version's last days and the alarms."""
    for one in found["versions"]:
        metric = one["metric"]
        click.echo(f"{found['model']} version {one['version']}")
        for day in one["days"]:
            value = day["metrics"].get(metric)
            said = f"{day['day']}  {day['rows']:>9,} rows  {day['coverage']:>4.0%} labelled"
            if value and value["value"] is not None:
                bounds = (
                    "" if value["low"] is None else f" ({value['low']:.3f} to {value['high']:.3f})"
                )
                said += f"  {metric} {value['value']:.3f}{bounds}"
            if day["estimate"] and day["estimate"]["value"] is not None:
                said += f"  estimated {day['estimate']['value']:.3f}"
            click.echo(said + ("  unfinished" if day["unfinished"] else ""))
        for note in one["notes"]:
            click.echo(f"Note: {note}.")
    for alarm in found["alarms"]:
        click.echo(("ALARM: " if alarm["open"] else "Over: ") + alarm["text"])
    if not found["alarms"]:
        click.echo("Nothing is beyond its limit.")
