"""`cloche doctor`: runs all checks with the options of `cloche serve`, and prints the results."""

import json
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from cloche.serving.cli.serve import serve, settings_of
from cloche.serving.doctor.check_result import CheckResult, State, fail
from cloche.serving.doctor.run_checks import run_checks
from cloche.serving.errors import SettingsError
from cloche.serving.registry.names import PRODUCTION

HELP = """Check whether cloche serve and cloche score can work here.

It takes the arguments and variables of cloche serve: type doctor instead of serve. Without
MODEL_URI it checks all models in production. It prints one line for each result, with the fix, and
changes nothing. The exit code is 1 if a check fails, and 0 if there are only warnings.

\b
Example:
  cloche doctor
  cloche doctor models:/flight-delay@production --host 0.0.0.0
  cloche doctor --json
"""

_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}
_SECRETS = {"--api-keys-file": "api_keys_file", "--tls-key": "tls_key"}


def _doctor(*, as_json: bool, log_format: str, **options: Any) -> int:  # noqa: ARG001  # for serve
    """Run the command; see HELP."""
    if not options["models"] and not options["all_with_alias"]:
        options["all_with_alias"] = PRODUCTION
    files = {option: options[name] for option, name in _SECRETS.items()}
    console = Console(highlight=False, soft_wrap=True)
    found: list[CheckResult] = []
    try:
        for finding in run_checks(settings_of(**options), files):
            found.append(finding)
            if not as_json:
                _show(console, finding)
    except SettingsError as error:
        found.append(fail("options", str(error)))
        if not as_json:
            _show(console, found[-1])
    failed = sum(one.state is State.FAIL for one in found)
    if as_json:
        click.echo(json.dumps({"failed": failed, "findings": [asdict(one) for one in found]}))
    return 1 if failed else 0


def _show(console: Console, finding: CheckResult) -> None:
    line = Text.assemble(
        (f"{finding.state:<4}", _STYLES[finding.state]), f"  {finding.check}: {finding.says}"
    )
    console.print(line)
    if finding.fix:
        console.print(Text(f"      → {finding.fix}", style="bold"))


doctor = click.Command(
    "doctor",
    callback=_doctor,
    params=[
        *serve.params,
        click.Option(["--json", "as_json"], is_flag=True, help="Print the findings as JSON."),
    ],
    help=HELP,
    short_help="Look for what would keep serving and scoring from working here.",
    context_settings=serve.context_settings,
)
