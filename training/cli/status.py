"""`cloche status`: versions, aliases and evidence, of one model or of all."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cloche.training.promotion.status import ModelStatus, VersionStatus

HELP = """Say what the registry holds: versions, aliases, evidence, and what serves.

\b
Example:
  cloche status
  cloche status flight-delay
  cloche status flight-delay --json
"""

_GATE_STYLES = {"passed": "green", "refused": "red", "forced": "yellow"}
_PIPE_WIDTH = 160
_NOTHING = "·"


@click.command(help=HELP, short_help="Versions, aliases, evidence, and what serves.")
@click.argument("model", required=False)
@click.option(
    "--versions",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many versions of each model to show; those with an alias are always shown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(model: str | None, versions: int, *, as_json: bool) -> None:
    """Run the command; see HELP."""
    # Not at the top: these imports take seconds, and `cloche --help` imports every command.
    from mlflow import MlflowClient  # noqa: PLC0415

    from cloche.training.promotion.registry import model_names  # noqa: PLC0415
    from cloche.training.promotion.status import status as read_status  # noqa: PLC0415

    client = MlflowClient()
    names = [model] if model else model_names(client)
    found = [read_status(client, name, most=versions) for name in names]
    if as_json:
        click.echo(json.dumps({"models": [_plain(one) for one in found]}, indent=2))
        return
    if not found:
        click.echo(
            f"The registry {client._registry_uri} holds no models yet. "
            "Train one: cloche train flights"
        )
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    for one in found:
        console.print(_table(one))


def _plain(found: "ModelStatus") -> dict[str, Any]:
    return {
        **asdict(found),
        "versions": [
            {**asdict(version), "created_at": version.created_at.isoformat(timespec="seconds")}
            for version in found.versions
        ],
    }


def _table(found: "ModelStatus") -> Table:
    older = f"{found.more} older versions are not shown" if found.more else None
    table = Table(
        title=Text(found.name),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        caption=older,
        caption_justify="left",
    )
    for name in ("version", "aliases", "gate", "holdout", "flavor", "promoted", "by", "reason"):
        table.add_column(name, overflow="fold", justify="right" if name == "version" else "left")
    for version in found.versions:
        table.add_row(*_row(version))
    return table


def _row(version: "VersionStatus") -> list[Text]:
    serves = "production" in version.aliases
    gate = version.gate or _NOTHING
    score = _NOTHING if version.score is None else f"{version.metric} {version.score:.4f}"
    return [
        Text(version.version, "bold" if serves else ""),
        Text(", ".join(version.aliases) or _NOTHING, "bold green" if serves else ""),
        Text(gate, _GATE_STYLES.get(gate, "dim")),
        Text(score),
        Text(version.flavor or "unreadable"),
        Text((version.promoted_at or _NOTHING)[:16].replace("T", " ")),
        Text(version.promoted_by or _NOTHING),
        Text(version.reason or _NOTHING),
    ]
