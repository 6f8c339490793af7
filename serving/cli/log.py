"""`cloche log`: checks, prunes and compacts the log of predictions, and erases people from it."""

import json
import os
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloche.cli.spinner import steps
from cloche.registry.env_manager import default_cache
from cloche.serving.errors import SettingsError

if TYPE_CHECKING:
    from cloche.prediction_log.destination import Destination
    from cloche.prediction_log.maintenance.check import Report

HELP = """Keep the log of predictions: check it, compact it, and remove what is old.

\b
Example:
  cloche log check flight-delay
  cloche log compact --log s3://team/predictions
  cloche log prune --older-than 90d --log s3://team/predictions
  cloche log forget --subject 4711 --log s3://team/predictions
"""
CHECK_HELP = """Tell whether the log adds up, or exactly what is missing.

What servers counted is compared with the rows in the files, for each server, version and hour. The
exit code is 5 if something is missing. Counts arrive with the rows, some minutes late.

\b
Example:
  cloche log check flight-delay --since 2026-11-01
"""
PRUNE_HELP = """Remove predictions and labels that are older than a number of days.

\b
Example:
  cloche log prune --older-than 90d --log s3://team/predictions
"""
COMPACT_HELP = """Make one file of the small files of each version and day, up to yesterday (UTC).

\b
Example:
  cloche log compact flight-delay --log s3://team/predictions
"""
FORGET_HELP = """Erase a person: all rows with this subject, and their labels.

Servers with --log-subject log whom a row is about as a hash; CLOCHE_LOG_KEY must have the secret
that they have. What waits in the spool of this machine is moved first; the spools of other machines
leave the person's rows out when they are moved.

\b
Example:
  CLOCHE_LOG_KEY=… cloche log forget --subject 4711 --log s3://team/predictions
"""
_DAYS = re.compile(r"(\d{1,5})d")
_LOG = click.option(
    "--log",
    "destination",
    metavar="DESTINATION",
    show_default="CLOCHE_LOG, else the model's tag cloche.log",
    help="Where the predictions are logged.",
)
_MODEL = click.argument("model", required=False)
_GAPS = 5  # the exit code


@click.group(help=HELP, short_help="Check, prune and compact the log of predictions.")
def log() -> None:
    """Run the command; see HELP."""


@log.command(help=CHECK_HELP, short_help="Tell whether the log adds up.")
@_MODEL
@_LOG
@click.option("--since", metavar="DAY", help="The first day (UTC), like 2026-11-01.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(
    model: str | None, *, destination: str | None, since: str | None, as_json: bool
) -> int | None:
    """Run the command; see CHECK_HELP."""
    with steps("reading the log"):
        # Not at the top: this import takes a while, and `cloche --help` imports every command.
        from cloche.prediction_log.maintenance.check import check as check_log  # noqa: PLC0415

        found = _found(model, destination)
        report = check_log(found, model, _day(since) if since else None)
    if as_json:
        click.echo(json.dumps({"log": found.uri, **report.to_json()}))
    else:
        click.echo("\n".join(_summary(report)) or "The log is empty.")
    return None if report.adds_up else _GAPS


@log.command(help=PRUNE_HELP, short_help="Remove what is old.")
@_MODEL
@_LOG
@click.option("--older-than", required=True, metavar="DAYSd", help="The age in days, like 90d.")
def prune(model: str | None, *, destination: str | None, older_than: str) -> None:
    """Run the command; see PRUNE_HELP."""
    days = _DAYS.fullmatch(older_than)
    if days is None:
        raise SettingsError(f"--older-than {older_than}: give a number of days, like 90d.")
    before = datetime.now(UTC).date() - timedelta(days=int(days[1]))
    with steps("removing what is old"):
        from cloche.prediction_log.maintenance.pruning import prune as prune_log  # noqa: PLC0415

        removed = prune_log(_found(model, destination), model, before)
    click.echo(f"{removed:,} files from before {before} (UTC) were removed.")


@log.command(help=COMPACT_HELP, short_help="Make few files of many.")
@_MODEL
@_LOG
def compact(model: str | None, *, destination: str | None) -> None:
    """Run the command; see COMPACT_HELP."""
    with steps("compacting"):
        from cloche.prediction_log import layout  # noqa: PLC0415
        from cloche.prediction_log.maintenance.compaction import (  # noqa: PLC0415
            compact as compact_log,
        )

        found = _found(model, destination)
        listed = {
            layout.model_of(file.path)
            for file in found.files(suffix=".parquet")
            if file.path.startswith("model=")
        }
        models = sorted(listed) if model is None else [model]
        before, after = compact_log(found, models, datetime.now(UTC).date())
    click.echo(f"{before:,} files became {after:,}.")


@log.command(help=FORGET_HELP, short_help="Erase a person from the log.")
@_MODEL
@_LOG
@click.option("--subject", required=True, metavar="ID", help="The person's id in requests.")
@click.option(
    "--log-spool",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="in the cache directory",
    metavar="DIR",
    help="The spool of a server on this machine.",
)
def forget(
    model: str | None, *, destination: str | None, subject: str, log_spool: Path | None
) -> None:
    """Run the command; see FORGET_HELP."""
    secret = os.environ.get("CLOCHE_LOG_KEY", "")
    if not secret:
        raise SettingsError(
            "CLOCHE_LOG_KEY is not set, and the log has only hashes of people: give the secret "
            "that the servers of this log have."
        )
    with steps("erasing"):
        from cloche.prediction_log.maintenance.erasing import forget as forget_in  # noqa: PLC0415
        from cloche.serving.sealing.sealer import UNREADABLE, Sealer  # noqa: PLC0415
        from cloche.serving.spool.log_plan import spool_folder  # noqa: PLC0415

        found = _found(model, destination)
        spool = spool_folder((log_spool or default_cache() / "spool").absolute(), found.given)
        path, receipt = forget_in(found, subject, secret.encode(), Sealer(spool, found.given).seal)
        left = sorted(str(one) for one in spool.glob(f"*{UNREADABLE}"))
    rows = sum(receipt.files.values())
    click.echo(f"{rows:,} rows in {len(receipt.files):,} files were erased: {found.shown(path)}")
    if left:
        click.echo(f"Not read, and not erased: {', '.join(left)}. Remove them.", err=True)


def _found(model: str | None, destination: str | None) -> "Destination":
    from cloche.prediction_log.destination import Destination  # noqa: PLC0415
    from cloche.prediction_log.lookup import LOG_VARIABLE, find_log  # noqa: PLC0415

    if model is not None:
        return find_log(model, destination)
    named = destination or os.environ.get(LOG_VARIABLE)
    if not named:
        raise SettingsError("Name a MODEL, or the log's destination: --log DESTINATION")
    return Destination.of(named)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"--since {text}: give a day like 2026-11-01.") from error


def _summary(report: "Report") -> list[str]:
    """Return a line for each version, and one for each gap."""
    versions: dict[str, Counter[str]] = {}
    for key, sums in report.sums.items():
        counted = versions.setdefault(key.title, Counter())
        counted.update(sums.counted)
        counted.update({f"dropped ({reason})": n for reason, n in sums.dropped.items()})
        counted.update(
            {
                "in the files": sums.in_files, "for requests tried again": sums.repeated,
                "computed and not delivered": sums.undelivered, "erased": sums.erased,
                "missing": sums.missing,
            }
        )  # fmt: skip
    lines = []
    for title, counted in sorted(versions.items()):
        names = ["answered", "failed", "computed and not delivered", "in the files", "sampled_out"]
        names += sorted(name for name in counted if name.startswith("dropped ("))
        names += [name for name in ("erased", "for requests tried again") if counted[name]]
        told = ", ".join(f"{counted[name]:,} {name.replace('_', ' ')}" for name in names)
        state = f"{counted['missing']:,} are missing" if counted["missing"] else "it adds up"
        lines.append(f"{title}: {told}; {state}.")
    lines += [f"{key.shown()}: {n:,} rows are missing." for key, n in report.gaps.items()]
    lines += [f"{path}: its rows are in another file, too." for path in report.doubled]
    return lines
