"""The examples in the help of the commands."""

import re

import click

from cloche.main import cloche


def examples(command: str, *, joined: bool = True) -> list[str]:
    r"""The lines below "Example:" in a command's help.

    Args:
        command: its name; empty for `cloche` itself.
        joined: whether a line that ends in \ and the next one are one.
    """
    found = cloche.get_command(click.Context(cloche), command) if command else cloche
    block = re.search(r"Example:\n((?:  .*\n?)+)", found.help or "")
    assert block, f"the help of {command or 'cloche'} has no example"
    text = re.sub(r"\\\n *", "", block[1]) if joined else block[1]
    return [line.strip() for line in text.splitlines() if line.strip()]
