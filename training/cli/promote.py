"""`cloche promote`: the gate judges a version, and the alias moves or the reasons are printed."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloche import launch
from cloche.cli.page_option import PageFile
from cloche.cli.spinner import steps
from cloche.processes import quick_imports
from cloche.registry import env_manager as environments
from cloche.training.cli import options
from cloche.training.cli.evidence_link import evidence_link
from cloche.training.cli.rollout import walk
from cloche.training.names import BEFORE
from cloche.training.promotion.promotion_request import PROBE_SECONDS, PromotionRequest
from cloche.training.rollout.rollout_request import RolloutRequest
from cloche.values.progress import Say

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from cloche.training.gate.fetched_version import FetchedVersion
    from cloche.training.promotion.evaluate_candidate import EvaluatedCandidate
    from cloche.training.promotion.promote import Promotion, PromotionRefusal

HELP = """Judge the challenger of MODEL and, if it passes, put it into production.

It is compared with the production version on the same held-out rows, by the criteria of its recipe.
A stage before it (tag cloche.before) is judged and promoted with it; without a challenger, --before
puts another stage before the version that serves.
Every judgement is an MLflow run with its numbers and a report, linked from the version. Exit code 3
means that the gate refused.

\b
Example:
  cloche promote flight-delay --dry-run
  cloche promote flight-delay
  cloche promote flight-delay --version 2
  cloche promote churn --policy churn-gate.yaml
  cloche promote flight-delay --force \\
    --reason "the holdout is stale, agreed with operations"
"""

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "not applicable": ("·", "dim")}
_PIPE_WIDTH = 160


@click.command(help=HELP, short_help="Judge the challenger and, if it passes, promote it.")
@click.argument("model")
@click.option("--version", metavar="N", help="Judge this version instead of the challenger.")
@click.option(
    "--before",
    metavar="URI",
    show_default="the version's tag cloche.before",
    help="The stage that prepares the rows for the version, or none to judge the version alone.",
)
@click.option(
    "--on",
    metavar="ROWS",
    show_default="the holdout",
    help="Judge on live, or live?since=DAY: logged, labelled rows that no version was trained on.",
)
@click.option(
    "--policy",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="YAML file with the criteria and the data, for a version that Cloche did not train.",
)
@click.option(
    "--allow-breaking",
    is_flag=True,
    help="Accept a changed signature, and a production version that cannot be compared.",
)
@click.option("--dry-run", is_flag=True, help="Judge and print; write nothing anywhere.")
@click.option("--force", is_flag=True, help="Promote even if the gate refuses; needs --reason.")
@click.option("--reason", metavar="TEXT", help="Why, for the audit trail.")
@click.option(
    "--gradually",
    is_flag=True,
    help="If it passes, begin its rollout, and promote it at the end of that.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=PROBE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long each model may take to load and predict the holdout.",
)
@environments.option("promote")
@options.cache
@environments.host_env("promote")
@click.option(
    "--report",
    type=PageFile(),
    metavar="FILE",
    help="Write the HTML report to this file, too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def promote(
    model: str,
    *,
    version: str | None,
    before: str | None,
    on: str | None,
    policy: str | None,
    allow_breaking: bool,
    dry_run: bool,
    force: bool,
    reason: str | None,
    gradually: bool,
    timeout: float,
    host_env: tuple[str, ...],
    env_manager: str,
    cache: Path,
    report: Path | None,
    as_json: bool,
) -> None:
    """Run the command; see HELP."""
    if force and not (reason or "").strip():
        raise click.UsageError("--force needs --reason TEXT: why is it right to overrule the gate?")
    try:
        request = PromotionRequest(
            version=version, before=before, on=on, policy=policy, allow_breaking=allow_breaking,
            force=force, reason=reason, gradually=gradually, timeout=timeout, host_env=host_env,
            env_manager=env_manager, cache=cache,
        )  # fmt: skip
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    options.check(env_manager, host_env)
    launch.interrupt_on_signals()
    with steps(f"judging {model}") as say, request.importing():
        # Not at the top: these imports take seconds, and `cloche --help` imports every command.
        with quick_imports.without_collection():
            from mlflow import MlflowClient  # noqa: PLC0415

            from cloche.registry.connect_timeout import require_stores  # noqa: PLC0415
            from cloche.training.promotion import promote as _  # noqa: F401, PLC0415

        require_stores(to_write=not dry_run)
        client = MlflowClient()
        going = _going_version(client, model, version) if gradually and not dry_run else None
        if going is None:
            promotion, refusal = _judge(client, model, request, say, dry_run=dry_run)
    if going is not None:
        walk(client, model, RolloutRequest(version=going), as_json=as_json)
        return
    document = _document(promotion, reason)
    if report is not None and document is not None:
        from cloche.training.gate.report import render  # noqa: PLC0415

        report.write_text(render(document), encoding="utf-8")
    promoted = not dry_run and refusal is None and not promotion.gradually
    if as_json:
        _print_json(promotion, document, promoted=promoted)
    else:
        _print_table(client, promotion, promoted=promoted)
    if refusal is not None:
        raise refusal
    if promotion.gradually:
        walk(client, model, _rollout_request(promotion, policy), as_json=as_json)


def _judge(
    client: "MlflowClient", model: str, request: PromotionRequest, say: Say, *, dry_run: bool
) -> "tuple[Promotion, PromotionRefusal | None]":
    """Ask the gate and do what it says; return also its refusal, if it refused."""
    from cloche.training.promotion.evaluate_candidate import evaluate  # noqa: PLC0415 (see above)
    from cloche.training.promotion.promote import Promotion, PromotionRefusal  # noqa: PLC0415
    from cloche.training.promotion.promote import promote as run_promotion  # noqa: PLC0415
    from cloche.training.promotion.registry import find_model  # noqa: PLC0415

    refusal = None
    try:
        if not dry_run:
            return run_promotion(client, model, request, say=say), None
        evaluated = evaluate(client, find_model(client, model), request, say)
        if evaluated.outcome == "refused":
            refusal = PromotionRefusal(evaluated, run_id=None)
        return Promotion(model, evaluated.version, evaluated=evaluated), refusal
    except PromotionRefusal as error:
        judged = error.evaluated
        return Promotion(model, judged.version, evaluated=judged, run_id=error.run_id), error


def _going_version(client: "MlflowClient", model: str, version: str | None) -> str | None:
    """Return the version if the gate let it pass for a rollout that goes on, or was aborted."""
    from cloche.training.rollout import opening  # noqa: PLC0415 (it takes seconds)

    return opening.going_version(client, model, version)


def _rollout_request(promotion: "Promotion", policy: str | None) -> RolloutRequest:
    """Return the request for the rollout of a version that passed the gate."""
    evaluated = promotion.evaluated
    has_plan = evaluated is not None and evaluated.judgement.policy.rollout is not None
    return RolloutRequest(version=promotion.version, plan=policy if has_plan else None)


def _print_table(client: "MlflowClient", promotion: "Promotion", *, promoted: bool) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    if promotion.evaluated is None:
        console.print(
            f"{promotion.model} version {promotion.version} is in production already; "
            "nothing was judged.",
            markup=False,
        )
        return
    console.print(_verdicts(promotion.evaluated))
    for note in promotion.evaluated.judgement.measured.notes:
        console.print(f"Note: {note}.", markup=False)
    if promotion.run_id is not None:
        console.print(
            f"Evidence: {evidence_link(client, promotion.run_id)}", markup=False, soft_wrap=True
        )
    if promoted:
        console.print(_moved(promotion), markup=False)
    elif promotion.run_id is None:
        console.print("This was a dry run: nothing was written.", markup=False)


def _verdicts(evaluated: "EvaluatedCandidate") -> Table:
    production = evaluated.judgement.production
    against = (
        f" against version {production.number_with_stages} in production" if production else ""
    )
    table = Table(
        title=Text(f"{evaluated.judgement.candidate.label}{against}: {evaluated.outcome}"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in ("", "criterion", "required", "found"):
        table.add_column(name, overflow="fold")
    for verdict in evaluated.judgement.decision.verdicts:
        mark, style = _MARKS[verdict.result]
        cells = (mark, verdict.name, verdict.required, verdict.measured)
        table.add_row(*(Text(cell, style if n in {0, 3} else "") for n, cell in enumerate(cells)))
    return table


def _moved(promotion: "Promotion") -> str:
    lines = [f"{promotion.model} version {promotion.version} is in production."]
    former = promotion.replaced
    if promotion.evaluated is not None:
        judgement = promotion.evaluated.judgement
        if judgement.candidate.stages:
            lines.append(_stages_of(judgement.candidate))
        serving = judgement.production
        former = serving.number_with_stages if serving else None
    if former is not None:
        lines.append(
            f"Version {former} served before; "
            f"`cloche rollback {shlex.quote(promotion.model)}` brings it back."
        )
    if promotion.mirror_problem is not None:
        lines.append(f"Note: {promotion.mirror_problem}.")
    return " ".join(lines)


def _stages_of(candidate: "FetchedVersion") -> str:
    stages, named = candidate.stages, candidate.version.tags.get(BEFORE)
    together = ", ".join(stage.label for stage in stages)
    found = f"{together} {'goes' if len(stages) == 1 else 'go'} with it."
    if named and named != stages[-1].uri:
        found += f" Its tag {BEFORE} was {named} and is {stages[-1].uri} now."
    return found


def _print_json(
    promotion: "Promotion", evidence_document: dict[str, Any] | None, *, promoted: bool
) -> None:
    evaluated = promotion.evaluated
    document: dict[str, Any] = {
        "model": promotion.model,
        "version": promotion.version,
        "promoted": promoted and evaluated is not None,
        "replaced": promotion.replaced,
        "outcome": evaluated.outcome if evaluated else None,
        "evidence_run_id": promotion.run_id,
        "evidence": evidence_document,
    }
    click.echo(json.dumps(document, indent=2))


def _document(promotion: "Promotion", reason: str | None) -> dict[str, Any] | None:
    from cloche.training.gate.evidence import evidence  # noqa: PLC0415 (it takes seconds)

    evaluated = promotion.evaluated
    if evaluated is None:
        return None
    return evidence(
        evaluated.judgement, outcome=evaluated.outcome, reason=reason, now=datetime.now(UTC)
    )
