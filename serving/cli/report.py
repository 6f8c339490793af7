"""`cloche report`: renders the report of a finished batch job again."""

import json
from pathlib import Path

import click

from cloche.cli.page_option import PageFile
from cloche.cli.spinner import steps
from cloche.serving.errors import SettingsError
from cloche.values.passwords import without_password

HELP = """Render the report of a finished batch job again.

OUTPUT is what cloche score wrote: a file, or a directory of parts. The page is written beside it,
or to --to.

\b
Example:
  cloche report scores.parquet
  cloche report scores.parquet --to report.html
"""


@click.command(help=HELP, short_help="Render the report of a batch job again.")
@click.argument("output")
@click.option("--to", type=PageFile(), help="Write the page there.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the report as JSON, and write nothing."
)
def report(output: str, to: Path | None, *, as_json: bool) -> None:
    """Run the command; see HELP."""
    with steps(f"reading the report of {without_password(output)}"):
        from cloche.serving.batch.output.layout import describe  # noqa: PLC0415  # see `score`
        from cloche.serving.batch.report.render import drift, render  # noqa: PLC0415

        described = describe(output, None)
        place, name = described.place, described.beside("report.json")
        try:
            document = json.loads(place.read(name) or b"")
        except ValueError as error:
            raise SettingsError(
                f"{place.shown(name)}: there is no report. Give the OUTPUT of a finished "
                "`cloche score`."
            ) from error
        if as_json:
            click.echo(json.dumps(document))
            return
        if to is None:
            place.write(described.beside("report.html"), render(document).encode())
        else:
            to.write_text(render(document), encoding="utf-8")
    page = to or place.shown(described.beside("report.html"))
    click.echo(f"{page}: {document['rows']:,} rows, {document['refused']:,} refused.")
    if document["profiled"]:
        click.echo(drift(document))
