"""The command `cloche`: its subcommands by name, and the exit code of each outcome.

Exit codes: 0 done, 1 the work failed, 2 wrong usage, 3 the gate refused, 4 done with rows in
quarantine.
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
from cloche.cli.retry_notice import tell_of_waiting
from cloche.processes.machine_limits import lacking

# Threads of OpenMP that spin while they wait starve each other as soon as anything else runs: on
# two busy cores one fit of gradient boosting took 42 s instead of 3. Read when OpenMP is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# onnxruntime gives the machine an id of its own for telemetry, unless told before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# MLflow reads the commit of a checkout; without git on the machine, that is 40 lines of warnings.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
# MLflow's progress bars and log lines would interleave with ours; set before MLflow is imported.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Imports make few cycles and many objects: collecting at every 700th costs a sixth of their time.
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
    "accelerate": "cloche.training.cli.accelerate:accelerate",
    "rollback": "cloche.training.cli.rollback:rollback",
    "status": "cloche.training.cli.status:status",
    "serve": "cloche.serving.cli.serve:serve",
    "container": "cloche.serving.cli.container:container",
    "build": "cloche.serving.cli.build:build",
    "score": "cloche.serving.cli.score:score",
    "report": "cloche.serving.cli.report:report",
    "doctor": "cloche.serving.cli.doctor:doctor",
    "sample": "cloche.training.cli.sample:sample",
    "up": "cloche.up.command:up",
    "completion": "cloche.cli.completion:completion",
}
# The parallel loops of a fit are so short that threads which sleep at once after each take three
# times as long as threads which spin for some microseconds first.
FITTING = ("train", "up")
SPIN_COUNT = "1000"


class LazyGroup(click.Group):
    """Imports a command when it is called, so that help and typing errors are quick."""

    context_class = HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's interface)
        """Names in the order in which a person needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in FITTING and os.environ["OMP_WAIT_POLICY"] == "PASSIVE":
            os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        command.context_class = HelpContext
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and options, without importing every command for its help: that takes seconds."""
        names = [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=LazyGroup, help=HELP)
@click.version_option(package_name="cloche", message="cloche %(version)s")
def cloche() -> None:
    """Run the command line; see HELP."""


def exit_code(error: Exception) -> int | None:
    """The exit code that a known failure stands for; None for one that nobody foresaw."""
    from cloche.serving.errors import ModelUriError, ServingError, SettingsError  # noqa: PLC0415
    from cloche.training.errors import ClocheError, GateRefusal, RecipeError  # noqa: PLC0415
    from cloche.up.errors import ServiceError  # noqa: PLC0415

    codes: list[tuple[type[Exception], int]] = [
        (GateRefusal, 3),
        (RecipeError, 2),
        (ModelUriError, 2),
        (SettingsError, 2),
        (ClocheError, 1),
        (ServingError, 1),
        (ServiceError, 1),
    ]
    if "mlflow.exceptions" in sys.modules:  # else nobody raised one, and importing it takes seconds
        codes.append((sys.modules["mlflow.exceptions"].MlflowException, 1))
    return next((code for kind, code in codes if isinstance(error, kind)), None)


def result_code(result: object) -> int:
    """The exit code of a command that did its work."""
    if isinstance(result, int):  # without standalone mode, that of `--help` and the like
        return result
    return 4 if getattr(result, "quarantined", 0) else 0


def _message(error: Exception) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 (slow, and only needed on failure)

    from cloche.serving.registry.error_messages import explain  # noqa: PLC0415

    return explain(error) if isinstance(error, MlflowException) else str(error)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a foreseen failure is a message, any other a traceback."""
    closed_output.guard()
    tell_of_waiting()
    launch.hide_memory()  # models run as the same user, and a server's memory holds its keys
    try:
        # by this name the shell asks for completions, however we were started
        result = cloche.main(arguments, prog_name="cloche", standalone_mode=False)
        closed_output.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except closed_output.OutputFailed as failure:
        closed_output.give_up_output()
        if not failure.reader_left:
            click.echo(f"Error: {failure}", err=True)
            sys.exit(1)
    except Exception as error:
        code = exit_code(error)
        if code is not None:
            message = _message(error)
        elif absent := lacking(error):
            code, message = 1, f"the machine has no more {absent}; make room, and run this again"
        else:
            raise
        click.echo(f"Error: {message}", err=True)
        sys.exit(code)
    else:
        sys.exit(result_code(result))
    finally:
        gc.freeze()  # the process ends: whoever searches what is left for cycles wastes its time
