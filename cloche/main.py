"""The command `cloche`: its subcommands by name, and the exit code of each outcome.

Exit codes: 0 done, 1 the work failed, 2 wrong usage, 3 the gate refused or a rollout was aborted,
4 done with rows in quarantine, 5 the prediction log lacks rows, 6 a training was put off.
"""

import gc
import os
import sys
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from cloche import launch
from cloche.cli import closed_output
from cloche.cli.help_pages import HelpContext
from cloche.cli.retry_notice import announce_retries
from cloche.processes.machine_limits import exhausted_resource

# OpenMP threads that spin while they wait starve each other when other work runs: on two busy
# cores one fit of gradient boosting took 42 s instead of 3. OpenMP reads the variable when loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# onnxruntime creates a telemetry id for the machine unless this is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# MLflow reads the commit of a checkout; without git installed, that prints 40 lines of warnings.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
# MLflow's progress bars and log lines would interleave with Cloche's; MLflow reads both variables
# when it is imported.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Imports create many objects and few reference cycles: a collection at every 700th object, the
# default, takes a sixth of the import time.
gc.set_threshold(10_000, *gc.get_threshold()[1:])

HELP = """From an MLflow training run to users.

\b
Example:
  cloche up                    the whole way, from the sample to a server
  cloche train flights         only train; the result is the challenger
  cloche promote flight-delay  judge the challenger; promote it if it passes
"""
COMMANDS = {
    "init": "cloche.training.cli.init:init",
    "train": "cloche.training.cli.train:train",
    "promote": "cloche.training.cli.promote:promote",
    "rollout": "cloche.training.cli.rollout:rollout",
    "labels": "cloche.training.cli.labels:labels",
    "monitor": "cloche.training.cli.monitor:monitor",
    "accelerate": "cloche.training.cli.accelerate:accelerate",
    "rollback": "cloche.training.cli.rollback:rollback",
    "status": "cloche.training.cli.status:status",
    "serve": "cloche.serving.cli.serve:serve",
    "container": "cloche.serving.cli.container:container",
    "build": "cloche.serving.cli.build:build",
    "log": "cloche.serving.cli.log:log",
    "score": "cloche.serving.cli.score:score",
    "report": "cloche.serving.cli.report:report",
    "doctor": "cloche.serving.cli.doctor:doctor",
    "sample": "cloche.training.cli.sample:sample",
    "up": "cloche.up.command:up",
    "completion": "cloche.cli.completion:completion",
}
# The parallel loops of a fit are very short: threads that sleep immediately after each loop take
# three times as long as threads that spin for some microseconds first.
FITTING = ("train", "up")
SPIN_COUNT = "1000"


class LazyGroup(click.Group):
    """Imports a command only when it is called, so that help and usage errors appear quickly."""

    context_class = HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's interface)
        """List the commands' names in the order in which a user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command by its name; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in FITTING and os.environ["OMP_WAIT_POLICY"] == "PASSIVE":
            os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        command.context_class = HelpContext
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names and options without importing every command, which takes seconds."""
        names = [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=LazyGroup, help=HELP)
@click.version_option(package_name="cloche", message="cloche %(version)s")
def cloche() -> None:
    """Run the command line; see HELP."""


def exit_code(error: Exception) -> int | None:
    """Return the exit code of an expected failure; None for an unexpected one."""
    from cloche.serving.errors import ModelUriError, ServingError, SettingsError  # noqa: PLC0415
    from cloche.training.errors import (  # noqa: PLC0415
        ClocheError,
        GateRefusal,
        RecipeError,
        RolloutAborted,
        TrainingPostponed,
    )
    from cloche.up.errors import ServiceError  # noqa: PLC0415

    codes: list[tuple[type[Exception], int]] = [
        (GateRefusal, 3),
        (RolloutAborted, 3),
        (TrainingPostponed, 6),
        (RecipeError, 2),
        (ModelUriError, 2),
        (SettingsError, 2),
        (ClocheError, 1),
        (ServingError, 1),
        (ServiceError, 1),
    ]
    if "cloche.prediction_log" in sys.modules:
        from cloche.object_stores import StoreUnknown  # noqa: PLC0415
        from cloche.prediction_log.destination import DestinationFailed  # noqa: PLC0415
        from cloche.prediction_log.errors import LogError  # noqa: PLC0415

        codes += [(LogError, 1), (DestinationFailed, 1), (StoreUnknown, 2)]
    if "mlflow.exceptions" in sys.modules:  # not imported: no such error, and an import is slow
        codes.append((sys.modules["mlflow.exceptions"].MlflowException, 1))
    return next((code for kind, code in codes if isinstance(error, kind)), None)


def result_code(result: object) -> int:
    """Return the exit code of a command that succeeded."""
    # the exit code of options like `--help`, without standalone mode, and of `cloche log check`
    if isinstance(result, int):
        return result
    if getattr(result, "alarms", 0):
        return 5
    return 4 if getattr(result, "quarantined", 0) else 0


def _message(error: Exception) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 (slow, and only needed on failure)

    from cloche.serving.registry.error_messages import explain  # noqa: PLC0415

    return explain(error) if isinstance(error, MlflowException) else str(error)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; print a message for expected failures, a traceback for others."""
    closed_output.guard()
    announce_retries()
    launch.hide_memory()  # models run as the same user, and the server's memory contains its keys
    try:
        # The shell requests completions by this name, whatever path Cloche was started with.
        result = cloche.main(arguments, prog_name="cloche", standalone_mode=False)
        closed_output.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except closed_output.OutputFailed as failure:
        closed_output.discard_output()
        if not failure.reader_left:
            click.echo(f"Error: {failure}", err=True)
            sys.exit(1)
    except Exception as error:
        code = exit_code(error)
        if code is not None:
            message = _message(error)
        elif absent := exhausted_resource(error):
            code, message = 1, f"the machine has no more {absent}; make room, and run this again"
        else:
            raise
        click.echo(f"Error: {message}", err=True)
        sys.exit(code)
    else:
        sys.exit(result_code(result))
    finally:
        gc.freeze()  # the process ends: searching the remaining objects for cycles wastes time
