"""`cloche accelerate`: adds an accelerated twin to a registered version."""

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from cloche import launch
from cloche.cli.spinner import steps
from cloche.processes import quick_imports
from cloche.registry import env_manager as environments
from cloche.training.child_process import PROOF, import_ahead
from cloche.training.cli import options

HELP = """Store an ONNX form of a version of MODEL beside it, if it provably answers the same.

cloche train does so, too. The twin is compared with the model on the version's holdout, or
on the rows of --data, and on adversarial ones: missing and extreme values, unseen categories,
values around the thresholds of trees. A version that serves may be accelerated: its own files stay
as they are.

\b
Example:
  cloche accelerate flight-delay
  cloche accelerate churn --version 1 --data exports/churn-1.parquet
"""


@click.command(help=HELP, short_help="Store a proven ONNX form of a version, to serve it faster.")
@click.argument("model")
@click.option("--version", metavar="N", help="Its number, instead of the challenger's.")
@click.option("--data", metavar="SOURCE", help="Prove it on these rows, not on the holdout.")
@environments.option("accelerate")
@options.cache
@environments.host_env("accelerate")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def accelerate(
    model: str,
    version: str | None,
    data: str | None,
    *,
    env_manager: str,
    cache: Path,
    host_env: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the command; see HELP."""
    options.check(env_manager, host_env)
    launch.interrupt_on_signals()
    local = env_manager == environments.LOCAL
    ahead = import_ahead(PROOF, host_env) if local else nullcontext()
    with steps(f"accelerating {model}") as say, ahead:
        # Not at the top: these imports take seconds, and `cloche --help` imports every command.
        with quick_imports.without_collection():
            from mlflow import MlflowClient  # noqa: PLC0415

            from cloche.registry.connect_timeout import require_stores  # noqa: PLC0415
            from cloche.training.accelerate_version import accelerate_version  # noqa: PLC0415

        require_stores(to_write=True)
        done = accelerate_version(
            MlflowClient(),
            model,
            version=version,
            data=data,
            env_manager=env_manager,
            cache=cache,
            extra_names=host_env,
            say=say,
        )
    if as_json:
        click.echo(json.dumps(asdict(done), indent=2))
        return
    proof = done.proof
    click.echo(
        f"{done.model} version {done.version} has an accelerated twin: on {proof.rows:,} rows and "
        f"{proof.adversarial_rows:,} adversarial ones its scores differ by at most "
        f"{proof.largest_difference:.1e}, its labels on none."
    )
