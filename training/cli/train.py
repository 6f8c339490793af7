"""`cloche train`: trains a recipe and registers the result as the challenger."""

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from cloche import launch
from cloche.cli.spinner import steps
from cloche.processes import quick_imports

if TYPE_CHECKING:
    from cloche.training.train import TrainedVersion

HELP = """Train what RECIPE says, evaluate it, and register the result as challenger.

RECIPE is the name of a shipped recipe (flights, comments, …) or a path to a YAML file.
The source log:NAME is what servers logged of a model, with its labels. Exit code 6 means that
--min-labels or --cool-down put the training off.

\b
Example:
  cloche train flights
  cloche train flights --set search.trials=2 \\
    --set estimator.params.learning_rate=0.1
  cloche train churn.yaml --data 'exports/churn-*.parquet'
  cloche train flights --explain
"""


@click.command(help=HELP, short_help="Train, evaluate, log, and register as challenger.")
@click.argument("recipe")
@click.option("--data", metavar="SOURCE", help="Read this instead of the recipe's data.source.")
@click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Change one value of the recipe; the value is read as YAML. May be repeated.",
)
@click.option(
    "--explain", is_flag=True, help="Read and check everything, say what would happen, and stop."
)
@click.option(
    "--min-labels",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Train only if so many labels of the log arrived since the model's last training.",
)
@click.option(
    "--cool-down",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="DAYS",
    help="Train only if the model's last training is so long ago.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train(
    recipe: str,
    data: str | None,
    overrides: tuple[str, ...],
    *,
    explain: bool,
    min_labels: int,
    cool_down: float,
    as_json: bool,
) -> None:
    """Run the command; see HELP."""
    # Not at the top: these imports take seconds, and `cloche --help` imports every command.
    with steps(f"reading the recipe {recipe}") as say:
        from cloche.training.recipe.load import load_recipe  # noqa: PLC0415

        checked = load_recipe(recipe, overrides, data=data)
        if explain:
            from cloche.training.explain import explain as explanation  # noqa: PLC0415

            click.echo(explanation(checked))
            return
        # Only after the recipe is checked, because the estimator's package may be missing.
        with quick_imports.without_collection(), quick_imports.without_array_libraries():
            # before MLflow: skops searches all modules that exist for each function of numpy
            import skops.io  # noqa: F401, PLC0415

            from cloche.training.retraining import RetrainingLimits  # noqa: PLC0415
            from cloche.training.train import train as run_training  # noqa: PLC0415

        launch.interrupt_on_signals()
        trained = run_training(checked, say, RetrainingLimits(min_labels, cool_down))
    if as_json:
        click.echo(json.dumps(_document(trained), indent=2))
    else:
        _print(trained)


def _document(trained: "TrainedVersion") -> dict[str, Any]:
    return {
        "model": trained.name,
        "version": trained.version,
        "run_id": trained.run_id,
        "holdout": {
            name: {
                end: getattr(i, end) if isfinite(getattr(i, end)) else None
                for end in ("value", "low", "high")
            }
            for name, i in trained.evaluation.holdout.items()
        },
        "notes": list(trained.evaluation.remarks),
    }


def _print(trained: "TrainedVersion") -> None:
    from cloche.training.tracking.model_card import format_value  # noqa: PLC0415

    table = Table(title=f"{trained.name} version {trained.version}, holdout", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("train", justify="right")
    for name, interval in trained.evaluation.holdout.items():
        table.add_row(
            name,
            format_value(interval.value),
            f"{format_value(interval.low)} to {format_value(interval.high)}",
            format_value(trained.evaluation.train[name]),
        )
    Console().print(table)
    for remark in trained.evaluation.remarks:
        click.echo(f"Note: {remark}.")
    click.echo(f"Version {trained.version} is the challenger. Next: cloche promote {trained.name}")
