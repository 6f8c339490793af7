"""`cloche sample`: writes the rows of a sample to a file, to be scored or inspected."""

import sys
from datetime import datetime
from pathlib import Path

import click

from cloche.cli.spinner import steps

HELP = """Write the sample NAME to OUTPUT, or list the samples when no NAME is given.

The name decides the format: .csv, .csv.gz or .parquet; - is CSV on standard output. An existing
file is kept, unless --force is given.

November and December are kept out of the training of flights: score those days with its model.

\b
Example:
  cloche sample
  cloche sample flights --date 2013-11-01 --without-target 2013-11-01.csv
  cloche sample flights --from 2013-11-01 --to 2013-11-30 \\
    --without-target november.csv
  cloche sample breast_cancer tumours.parquet
"""

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command(help=HELP, short_help="Write a sample's rows to a file.")
@click.argument("name", required=False)
@click.argument("output", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--from", "first", type=_DAY, metavar="DAY", help="First day, like 2013-11-01.")
@click.option("--to", "last", type=_DAY, metavar="DAY", help="Last day, inclusive.")
@click.option("--date", "day", type=_DAY, metavar="DAY", help="This day alone.")
@click.option("--without-target", is_flag=True, help="Leave the answer out, as callers do.")
@click.option("--force", is_flag=True, help="Write over an existing file.")
def sample(
    name: str | None,
    output: Path | None,
    first: datetime | None,
    last: datetime | None,
    day: datetime | None,
    *,
    without_target: bool,
    force: bool,
) -> None:
    """Run the command; see HELP."""
    if name is None:
        from cloche.training.dataset.samples.catalog import SAMPLES  # noqa: PLC0415 (see below)

        for known, one in SAMPLES.items():
            click.echo(f"{known:<15} {one.about}")
        return
    if output is None:
        raise click.UsageError(f"Name the file to write, like {name}.csv, or - for stdout.")
    if str(output) != "-" and output.exists() and not force:
        raise click.UsageError(f"{output} exists; name another file, or add --force.")
    if day and (first or last):
        raise click.UsageError("Give --date for one day, or --from and --to for several.")
    first, last = day or first, day or last
    with steps(f"reading {name}"):
        # Not at the top: this import takes a second, and `cloche --help` imports every command.
        from cloche.training.dataset.reading.table_writer import write_table  # noqa: PLC0415
        from cloche.training.dataset.samples.catalog import sample_rows  # noqa: PLC0415

        rows = sample_rows(
            name,
            first=first.date() if first else None,
            last=last.date() if last else None,
            with_target=not without_target,
        )
    if str(output) == "-":
        rows.to_csv(sys.stdout, index=False)
        return
    write_table(rows, output)
    click.echo(f"{len(rows):,} rows, {len(rows.columns)} columns: {output}")
