"""`cloche status`: shows versions, aliases and evidence of one model or of all models."""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloche.cli.spinner import steps
from cloche.processes import quick_imports
from cloche.values.passwords import without_password

if TYPE_CHECKING:
    from cloche.training.promotion.status import ModelStatus, VersionStatus

HELP = """Show what the registry holds: versions, aliases, evidence, and what serves.

Without MODEL it shows all models; if there are many, one line for each.

\b
Example:
  cloche status
  cloche status flight-delay
  cloche status flight-delay --json
"""

_GATE_STYLES = {"passed": "green", "refused": "red", "forced": "yellow"}
_FEW = 3  # most models that are shown with their versions; of more, each gets one line
_PIPE_WIDTH = 160
_NOTHING = "·"
_ONLY_WITH_STAGES = ("stages", "stage_problem")  # keys of the JSON


@click.command(help=HELP, short_help="Show versions, aliases, evidence, and what serves.")
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
    with steps(f"reading the registry's {model or 'models'}"):
        # Not at the top: these imports take seconds, and `cloche --help` imports every command.
        with quick_imports.without_collection():
            from mlflow import MlflowClient  # noqa: PLC0415

            from cloche.registry.connect_timeout import (  # noqa: PLC0415
                require_stores,
                shorten_timeouts,
            )
            from cloche.registry.version_listing import registered_models  # noqa: PLC0415
            from cloche.training.promotion.status import overview  # noqa: PLC0415
            from cloche.training.promotion.status import status as read_status  # noqa: PLC0415
            from cloche.training.rollout.arm_status import arm_status  # noqa: PLC0415

            shorten_timeouts(os.environ)
            require_stores()
            client = MlflowClient()  # MLflow imports what its stores need only now
        models = [] if model else registered_models(client)
        if len(models) > _FEW:
            found = overview(client, models)
        else:
            names = [model] if model else [one.name for one in models]
            found = [read_status(client, name, most=versions) for name in names]
        now = datetime.now(UTC)
        arms = {one.name: arm_status(client, one.name, one.aliases, now) for one in found}
    if as_json:
        plain = [_plain(one, arms[one.name]) for one in found]
        click.echo(json.dumps({"models": plain}, indent=2))
        return
    if not found:
        click.echo(
            f"The registry {without_password(str(client._registry_uri))} holds no models yet. "
            "Train one: cloche train flights"
        )
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    if len(models) > _FEW:
        console.print(_lines(found))
    for one in found:
        if len(models) <= _FEW:
            console.print(_table(one))
        for version in one.versions:
            _print_stages(console, one.name, version)
        for arm in arms[one.name]:
            of = f" of {one.name}" if len(models) > _FEW else ""
            said = f"{arm['arm']}{of}: version {arm['version']} {arm['says']}"
            console.print(said, markup=False, soft_wrap=True)


def _plain(found: "ModelStatus", arms: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        **asdict(found),
        **({"arms": arms} if arms else {}),
        "versions": [
            {
                **{k: v for k, v in asdict(version).items() if v or k not in _ONLY_WITH_STAGES},
                "created_at": version.created_at.isoformat(timespec="seconds"),
            }
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


def _print_stages(console: Console, model: str, version: "VersionStatus") -> None:
    if version.stages:
        aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
        chain = f"{model} {version.version}{aliases}, after {', '.join(version.stages)}"
        console.print(chain, markup=False, soft_wrap=True)
    if version.stage_problem:
        console.print(f"Note: {version.stage_problem}", markup=False, soft_wrap=True)


def _lines(found: "list[ModelStatus]") -> Table:
    """Return a table with one line for each model, for registries with many models."""
    table = Table(
        box=box.SIMPLE_HEAD,
        caption=f"{len(found):,} models; cloche status MODEL shows the versions of one",
        caption_justify="left",
    )
    for name in ("model", "production", "gate", "promoted", "by", "challenger", "newest"):
        table.add_column(name, overflow="fold")
    for one in found:
        serving, newest = one.at("production"), one.versions[0] if one.versions else None
        gate = (serving.gate if serving else None) or _NOTHING
        table.add_row(
            Text(one.name),
            Text(serving.version if serving else _NOTHING, "bold green" if serving else ""),
            Text(gate, _GATE_STYLES.get(gate, "dim")),
            Text(((serving.promoted_at if serving else None) or _NOTHING)[:16].replace("T", " ")),
            Text((serving.promoted_by if serving else None) or _NOTHING),
            Text(one.aliases.get("challenger", _NOTHING)),
            Text(newest.version if newest else _NOTHING),
        )
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
