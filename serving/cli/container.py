"""`cloche container`: `cloche serve` with defaults from the environment variables of a cloud."""

import os
from typing import Any

import click

from cloche.serving.cli.serve import serve
from cloche.serving.clouds.discovery import find
from cloche.serving.errors import SettingsError

HELP = """Serve inside a container of a cloud, as the cloud's variables require.

Images for SageMaker and Vertex AI start with this command. On Vertex AI, which sets AIP_*
variables, the model is read from AIP_STORAGE_URI; elsewhere from /opt/ml/model. With a MODEL_URI,
the server follows a registry. The command has the options of cloche serve; a deployment sets them
by variables, like CLOCHE_SERVE_REPLICAS.

\b
Example:
  cloche container serve models:/flight-delay@production
"""


class _Container(click.Command):
    """The command `cloche serve` with the defaults of the cloud."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Make the context with defaults from the environment; given options override them."""
        found = find(os.environ)
        extra |= {"default_map": found.options, "obj": found.contract}
        return super().make_context(info_name, args, parent, **extra)


def _serve(task: str, **options: Any) -> None:  # noqa: ARG001  # always "serve"
    """Run the command; see HELP."""
    contract = click.get_current_context().obj
    if not options["models"] and not options["all_with_alias"]:
        raise SettingsError(
            "AIP_STORAGE_URI names no model. Upload the model with its artifact URI, or name one: "
            "cloche container serve models:/NAME@production"
        )
    assert serve.callback is not None  # noqa: S101  # for mypy: a command has one
    serve.callback(**options, cloud_contract=contract)


container = _Container(
    "container",
    callback=_serve,
    params=[click.Argument(["task"], type=click.Choice(["serve"]), metavar="serve"), *serve.params],
    help=HELP,
    short_help="Serve inside a container of SageMaker or Vertex AI.",
    context_settings=serve.context_settings,
)
