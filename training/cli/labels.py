"""`cloche labels`: adds the truth about predictions to their log when it is known."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cloche import launch
from cloche.cli.help_pages import HelpContext
from cloche.cli.spinner import steps

if TYPE_CHECKING:
    import pandas as pd

    from cloche.prediction_log.labels import AddedLabels
    from cloche.training.recipe.sections import Data

HELP = """Add the truth about logged predictions.

A label joins the prediction whose id it has. Nothing is overwritten: a later label corrects an
earlier one from then on, and --retract takes labels back.

\b
Example:
  cloche labels add flight-delay arrivals.csv \\
    --id flight --label late
"""
ADD_HELP = """Add the labels in SOURCE to the log of MODEL.

SOURCE is whatever a recipe reads: a CSV or Parquet file, a folder, a glob, an address, a database.
The same labels again change nothing. Rows without a value are left out. Labels that fit no
prediction wait in quarantine, and are tried again by each later addition.

\b
Example:
  cloche labels add flight-delay arrivals.csv \\
    --id flight --label late --time arrived
  cloche labels add flight-delay mistaken.csv --id flight --retract
"""


class _Command(click.Command):
    context_class = HelpContext


class _Group(click.Group):
    command_class = _Command


@click.group(cls=_Group, help=HELP, short_help="Add the truth about logged predictions.")
def labels() -> None:
    """Run the command; see HELP."""


@labels.command(help=ADD_HELP, short_help="Add labels from a table.")
@click.argument("model")
@click.argument("source")
@click.option("--id", "key", required=True, metavar="COLUMN", help="Column with the ids.")
@click.option("--label", metavar="COLUMN", help="Column with the true values.")
@click.option("--time", metavar="COLUMN", help="Column with the time when each became known.")
@click.option("--row", metavar="COLUMN", help="Column with the row within the request, from 0.")
@click.option(
    "--key",
    "key_kind",
    type=click.Choice(["prediction-id", "request-id"]),
    default="prediction-id",
    show_default=True,
    help="What the ids are.",
)
@click.option("--retract", is_flag=True, help="Take the labels of these predictions back.")
@click.option("--query", metavar="SQL", help="The rows, if SOURCE is a database.")
@click.option(
    "--log",
    "destination",
    metavar="DESTINATION",
    show_default="CLOCHE_LOG, else the model's tag cloche.log",
    help="Where the predictions are logged.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def add(
    model: str,
    source: str,
    *,
    key: str,
    label: str | None,
    time: str | None,
    row: str | None,
    key_kind: str,
    retract: bool,
    query: str | None,
    destination: str | None,
    as_json: bool,
) -> None:
    """Run the command; see ADD_HELP."""
    if retract == (label is not None):
        raise click.UsageError(
            "--label and --retract exclude each other: a table gives labels or takes them back."
            if retract
            else "Name the column with the true values: --label COLUMN"
        )
    launch.interrupt_on_signals()
    with steps(f"reading {source}") as say:
        # Not at the top: these imports take seconds, and `cloche --help` imports every command.
        from cloche.prediction_log.label_table import LabelColumns, label_table  # noqa: PLC0415
        from cloche.prediction_log.labels import add_labels  # noqa: PLC0415
        from cloche.prediction_log.lookup import find_log  # noqa: PLC0415
        from cloche.training.recipe.load import data_section  # noqa: PLC0415

        columns = LabelColumns(key, label, time, row, key_kind.replace("-", "_"))
        data = data_section({"source": source, **({"query": query} if query else {})})
        table = label_table(_read(data, columns.names, key), columns, data.source)
        say(f"looking for the predictions of {len(table):,} labels")
        log = find_log(model, destination)
        added = add_labels(log, model, table, source=data.source, now=datetime.now(UTC))
    if as_json:
        before = added.before and added.before.isoformat()
        click.echo(json.dumps({"model": model, "log": log.uri, **asdict(added), "before": before}))
    else:
        click.echo(_summary(model, added))


def _read(data: "Data", columns: list[str], key: str) -> "pd.DataFrame":
    """Read the columns of a table of labels; ids in text files stay text, with their zeros.

    Raises:
        LabelMistakes: The table cannot be read, or lacks a column.
    """
    from cloche.prediction_log.errors import LabelMistakes  # noqa: PLC0415
    from cloche.training.dataset.reading.files import is_parquet  # noqa: PLC0415
    from cloche.training.dataset.reading.sources import load_table, source_files  # noqa: PLC0415
    from cloche.training.errors import DataError  # noqa: PLC0415

    options: dict[str, Any] = {"dtype": {key: "str"}}
    try:
        files = source_files(data.source) if data.query is None else []
        if files and not is_parquet(files[0]):
            data = data.model_copy(update={"options": options})
        return load_table(data, columns).frame
    except DataError as error:
        raise LabelMistakes(error.source, error.problems) from None


def _summary(model: str, added: "AddedLabels") -> str:
    counts = {
        "added": added.added, "revised": added.revised, "retracted": added.retracted,
        "unchanged": added.unchanged, "unknown": added.unknown,
    }  # fmt: skip
    told = ", ".join(f"{name} {n:,}" for name, n in counts.items() if n or name != "retracted")
    if added.before:
        told = f"the same labels were added on {added.before} (UTC), and nothing was written"
    notes = [f"{added.released:,} left the quarantine" if added.released else ""]
    if added.unknown:
        notes.append("unknown ones wait in quarantine for their predictions")
    return "; ".join([f"Labels of {model}: {told}", *filter(None, notes)]) + "."
