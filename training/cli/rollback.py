"""`cloche rollback`: moves `production` back to the version that served before."""

import json
from dataclasses import asdict

import click

from cloche.cli.spinner import steps
from cloche.processes import quick_imports

HELP = """Move production of MODEL back to the version that served before, or to version N.

If the last change was one of the stage before the version that serves, that is taken back. The gate
does not judge the version again, because it was in production before.

\b
Example:
  cloche rollback flight-delay
  cloche rollback flight-delay --to 1 \\
    --reason "version 2 is slow in the evening"
"""


@click.command(help=HELP, short_help="Put back the version that served before.")
@click.argument("model")
@click.option("--to", metavar="N", help="Go back to this version instead of the previous one.")
@click.option("--reason", metavar="TEXT", help="Why, for the audit trail.")
@click.option("--force", is_flag=True, help="Accept a version that was never in production.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def rollback(model: str, to: str | None, reason: str | None, *, force: bool, as_json: bool) -> None:
    """Run the command; see HELP."""
    with steps(f"rolling back {model}"):
        # Not at the top: these imports take seconds, and `cloche --help` imports every command.
        with quick_imports.without_collection():
            from mlflow import MlflowClient  # noqa: PLC0415

            from cloche.registry.connect_timeout import require_stores  # noqa: PLC0415
            from cloche.training.promotion.rollback import roll_back  # noqa: PLC0415

        require_stores(to_write=True)
        done = roll_back(MlflowClient(), model, to=to, reason=reason, force=force)
    if as_json:
        stage_keys = ("before", "replaced_before")
        document = {
            "stages" if key == "mirror_problem" else key: value
            for key, value in asdict(done).items()
            if done.before or key not in stage_keys
        }
        click.echo(json.dumps(document, indent=2))
        return
    if done.before:
        click.echo(
            f"{done.model} version {done.version} is in production; the stage before it is "
            f"{done.before} again. {done.replaced_before} was before it until now; another "
            "rollback brings it back."
        )
        return
    click.echo(f"{done.model} version {done.version} is in production again.")
    if done.replaced:
        click.echo(f"Version {done.replaced}, which served until now, is `previous`.")
    if done.mirror_problem is not None:
        click.echo(f"Note: {done.mirror_problem}.", err=True)
