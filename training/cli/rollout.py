"""`cloche rollout`: gives a version its traffic step by step, and ends it on evidence."""

import json
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from cloche import launch
from cloche.cli.help_pages import HelpContext
from cloche.cli.spinner import steps as progress
from cloche.processes import quick_imports
from cloche.training.cli.evidence_link import evidence_link
from cloche.training.cli.rollout_display import displayed, table
from cloche.training.rollout.rollout_request import POLL_SECONDS, RolloutRequest

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from cloche.training.rollout.commands import RolloutCommands
    from cloche.training.rollout.ending import RolloutEnd

HELP = """Roll a version of MODEL out: shadow, then shares of the callers, then production.

cloche rollout MODEL is short for cloche rollout start MODEL, whose options are in its own help. It
stays in the foreground, and goes on where it was when it is started again. Exit code 3 means that
the rollout was aborted; production stays as it is then.

\b
Example:
  cloche rollout flight-delay
  cloche rollout flight-delay --version 3 \\
    --steps 1,10,50
  cloche rollout status flight-delay
  cloche rollout pause flight-delay
  cloche rollout resume flight-delay
  cloche rollout abort flight-delay --reason "callers complain"
  cloche rollout promote flight-delay --reason "seen enough"
"""


class _Command(click.Command):
    context_class = HelpContext


class DefaultGroup(click.Group):
    """A group of commands in which everything that names none of them is for `start`."""

    command_class = _Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before arguments without a command."""
        if args and args[0] not in (*self.commands, *self.get_help_option_names(ctx)):
            args = ["start", *args]
        return super().parse_args(ctx, args)


_VERSION = click.option(
    "--version",
    metavar="N",
    show_default="the canary or the shadow",
    help="The version whose rollout it is.",
)
_REASON = click.option("--reason", metavar="TEXT", help="Why, for the audit trail.")


@click.group(cls=DefaultGroup, help=HELP, short_help="Give a version its traffic step by step.")
def rollout() -> None:
    """Run the command; see HELP."""


@rollout.command(short_help="Walk a version through its rollout, or go on with that.")
@click.argument("model")
@click.option(
    "--version",
    metavar="N",
    show_default="the one that is rolled out, else the challenger",
    help="The version.",
)
@click.option(
    "--plan",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="YAML file with the plan, or with a plan under the key rollout.",
)
@click.option("--steps", metavar="LIST", help="Percents of the callers, like 1,5,25,50.")
@click.option("--shadow-only", is_flag=True, help="End after the shadow; no caller gets answers.")
@click.option("--retry", is_flag=True, help="Begin anew with a version that was aborted.")
@click.option(
    "--poll",
    type=click.FloatRange(min=0.1, max=15),
    default=POLL_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Pause between two looks.",
)
@click.option(
    "--prometheus", metavar="URL", help="Prometheus with the counts, instead of the servers' tags."
)
@click.option("--json", "as_json", is_flag=True, help="Print each look as a line of JSON.")
def start(
    model: str,
    *,
    version: str | None,
    plan: str | None,
    steps: str | None,
    shadow_only: bool,
    retry: bool,
    poll: float,
    prometheus: str | None,
    as_json: bool,
) -> None:
    """Walk a version through its rollout, or go on with that.

    It needs a version that has passed the gate: cloche promote MODEL --gradually asks the gate, and
    then does the same.
    """
    request = RolloutRequest(
        version=version, plan=plan, steps=steps, shadow_only=shadow_only, retry=retry, poll=poll,
        prometheus=prometheus,
    )  # fmt: skip
    launch.interrupt_on_signals()
    walk(_client(f"reading the registry's {model}"), model, request, as_json=as_json)


def walk(client: "MlflowClient", model: str, request: RolloutRequest, *, as_json: bool) -> None:
    """Drive a rollout to its end, and print how it goes."""
    from cloche.training.rollout.driver import drive  # noqa: PLC0415 (it takes seconds)

    try:
        with displayed(as_json=as_json) as display:
            end = drive(client, model, request, display)
    except KeyboardInterrupt:
        click.echo(
            "The rollout stays at its step: servers keep the share, and abort by themselves. "
            f"`cloche rollout {shlex.quote(model)}` goes on.",
            err=True,
        )
        raise
    if as_json:
        click.echo(json.dumps(asdict(end)))
    else:
        _print_end(client, end)


@rollout.command(short_help="Show share, step, counts and verdict.")
@click.argument("model")
@_VERSION
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(model: str, *, version: str | None, as_json: bool) -> None:
    """Show the rollout of MODEL: share, step, counts of both arms, and the verdict."""
    commands = _commands(model, version)
    look, state = commands.look(), commands.state
    found: dict[str, Any] = {
        "model": model, "version": state.version, "state": state.word, "reason": state.reason,
        "driven": commands.is_driven, "evidence_run_id": state.run_id or None,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(found | ({} if look is None else look.as_document()), indent=2))
        return
    console = Console(highlight=False)
    if look is None:
        told = f"{state.word}: {state.reason}" if state.word else "has no rollout"
        click.echo(f"{state.label}: {told}")
    elif console.is_terminal:
        console.print(table(look))
    else:
        click.echo(f"{state.label} {look.sentence}")
    if state.active and not commands.is_driven:
        click.echo(_undriven(model, state.version))
    if state.run_id:
        click.echo(f"Evidence: {evidence_link(commands.client, state.run_id)}")


@rollout.command(short_help="Keep the share until somebody resumes the rollout.")
@click.argument("model")
@_VERSION
@_REASON
def pause(model: str, *, version: str | None, reason: str | None) -> None:
    """Keep the share of MODEL as it is until somebody resumes the rollout."""
    commands = _commands(model, version, to_write=True)
    commands.pause(reason)
    click.echo(f"The rollout of {commands.state.label} is paused; its share stays.")


@rollout.command(short_help="Go on with a rollout that is paused.")
@click.argument("model")
@_VERSION
def resume(model: str, *, version: str | None) -> None:
    """Restore alias and share of the step, and go on with a rollout of MODEL that is paused."""
    commands = _commands(model, version, to_write=True)
    commands.resume()
    click.echo(f"The rollout of {commands.state.label} goes on.")
    if not commands.is_driven:
        click.echo(_undriven(model, commands.state.version))


@rollout.command(short_help="Take all requests from the version at once.")
@click.argument("model")
@_VERSION
@_REASON
def abort(model: str, *, version: str | None, reason: str | None) -> None:
    """Take all live requests from the canary or shadow of MODEL at once."""
    commands = _commands(model, version, to_write=True)
    commands.abort(reason)
    click.echo(f"The rollout of {commands.state.label} is aborted; production answers everything.")


@rollout.command(short_help="Skip the remaining steps.")
@click.argument("model")
@_VERSION
@_REASON
def promote(model: str, *, version: str | None, reason: str | None) -> None:
    """Put the canary of MODEL into production now, whatever steps are left."""
    commands = _commands(model, version, to_write=True)
    problem = commands.promote(reason)
    click.echo(f"{commands.state.label} is in production; the remaining steps are skipped.")
    if problem is not None:
        click.echo(f"Note: {problem}.", err=True)


def _client(title: str, *, to_write: bool = True) -> "MlflowClient":
    with progress(title):
        # Not at the top: these imports take seconds, and `cloche --help` imports every command.
        with quick_imports.without_collection():
            from mlflow import MlflowClient  # noqa: PLC0415

            from cloche.registry.connect_timeout import require_stores  # noqa: PLC0415
            from cloche.training.rollout import commands, driver  # noqa: F401, PLC0415

        require_stores(to_write=to_write)
        return MlflowClient()


def _commands(model: str, version: str | None, *, to_write: bool = False) -> "RolloutCommands":
    client = _client(f"reading the rollout of {model}", to_write=to_write)
    from cloche.training.rollout.commands import RolloutCommands  # noqa: PLC0415 (see `_client`)

    return RolloutCommands(client, model, version)


def _undriven(model: str, version: str) -> str:
    return (
        "No driver walks it: servers keep the share, and no step is taken until "
        f"`cloche rollout {shlex.quote(model)} --version {version}` runs."
    )


def _print_end(client: "MlflowClient", end: "RolloutEnd") -> None:
    label = f"{end.model} version {end.version}"
    if end.outcome == "promoted":
        click.echo(
            f"{label} is in production: {end.reason}. "
            f"`cloche rollback {shlex.quote(end.model)}` brings back what served before."
        )
    else:
        click.echo(f"The shadow of {label} has {end.outcome}: {end.reason}.")
    if end.mirror_problem is not None:
        click.echo(f"Note: {end.mirror_problem}.", err=True)
    click.echo(f"Evidence: {evidence_link(client, end.run_id)}")
