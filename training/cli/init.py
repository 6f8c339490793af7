"""`cloche init`: writes a first recipe for a table that has none yet."""

import shlex
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from cloche.cli.spinner import steps
from cloche.values.passwords import without_password

HELP = """Inspect the table DATA and write a first recipe for it.

DATA is whatever a recipe's data.source may be: a path, glob, directory, URL, database or sample.
Every guess is commented: task, roles of the columns, split, estimator. An existing file is kept,
unless --force is given.

\b
Example:
  cloche init sample:wine
  cloche init 'exports/churn-*.csv' --target churned --output churn.yaml
  cloche init sqlite:///shop.db --query 'SELECT * FROM orders' \\
    --target returned
  cloche init exports/korean.csv --option encoding=cp949 \\
    --option thousands=,
"""


@click.command(help=HELP, short_help="Write a first recipe for a table.")
@click.argument("data")
@click.option("--target", metavar="COLUMN", help="The column to predict; guessed by default.")
@click.option("--query", metavar="SQL", help="The rows to read from a database.")
@click.option(
    "--option",
    "options",
    metavar="KEY=VALUE",
    multiple=True,
    help="An option of pandas for reading the files, as in data.options; may be repeated.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; - is standard output. By default it is named after the data.",
)
@click.option("--force", is_flag=True, help="Write over an existing file.")
def init(
    data: str,
    target: str | None,
    query: str | None,
    options: tuple[str, ...],
    output: Path | None,
    *,
    force: bool,
) -> None:
    """Run the command; see HELP."""
    with steps(f"reading {without_password(data)}"):
        # Not at the top: this import takes seconds, and `cloche --help` imports every command.
        from cloche.training.dataset.first_recipe.draft import draft_recipe  # noqa: PLC0415
        from cloche.training.dataset.reading.format_detection import detect_data  # noqa: PLC0415
        from cloche.training.dataset.reading.sources import load_table, source_files  # noqa: PLC0415
        from cloche.training.recipe.yaml_document import parse  # noqa: PLC0415

        described = detect_data(data, query, _options(options))
        table = load_table(described)
        recipe = draft_recipe(table, described, target)
    if str(output) == "-":
        click.echo(recipe, nl=False)
        return
    path = output or Path(f"{parse(recipe).values['name']}.yaml")
    if path.exists() and not force:
        raise click.UsageError(f"{path} exists; name another file with --output, or add --force.")
    if path.exists() and any(path.samefile(file) for file in source_files(described.source)):
        raise click.UsageError(f"{path} holds the data; name another file with --output.")
    try:
        path.write_text(recipe, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {path}.")
    typed = shlex.quote(str(path))
    Console(stderr=True, highlight=False).print(
        "Next: read its guesses, then\n"
        f"  cloche train {typed} --explain   to see what would happen\n"
        f"  cloche train {typed}             to train",
        markup=False,
    )


def _options(given: tuple[str, ...]) -> dict[str, Any]:
    from cloche.training.recipe.yaml_document import DocumentError, parse_value  # noqa: PLC0415

    options = {}
    for option in given:
        name, mark, text = option.partition("=")
        if not (name and mark):
            raise click.UsageError(f"--option {option!r}: expected KEY=VALUE, like encoding=cp949")
        try:
            options[name] = parse_value(text)
        except DocumentError:  # a separator may be a character with a meaning in YAML
            options[name] = text
    return options
