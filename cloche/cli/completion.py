"""`cloche completion`: prints the script with which a shell completes commands and options."""

import click
from click.shell_completion import get_completion_class

HELP = """Print the script with which SHELL completes commands and options of cloche.

\b
Example:
  cloche completion bash > cloche.bash
  cloche completion zsh > _cloche
  cloche completion fish > cloche.fish

\b
Where it belongs:
  bash  ~/.local/share/bash-completion/completions/cloche
  zsh   _cloche in a directory of $fpath
  fish  ~/.config/fish/completions/cloche.fish
"""


@click.command(help=HELP, short_help="Complete commands and options in bash, zsh or fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Run the command; see HELP."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101  # click knows these three
    root = context.find_root().command
    click.echo(found(root, {}, "cloche", "_CLOCHE_COMPLETE").source())
