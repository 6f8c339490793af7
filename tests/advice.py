"""What messages advise, as a person reads it."""

import os
import re
import shlex
import subprocess
from pathlib import Path


def text_of(pattern: str, said: object) -> str:
    """What a message says at the place of a pattern's group; it must fit."""
    found = re.search(pattern, str(said))
    assert found is not None, (pattern, said)
    return found[1]


def words_of(pattern: str, said: object) -> list[str]:
    """The words of that, as a shell has them."""
    return shlex.split(text_of(pattern, said))


def stand_in(folder: Path, name: str, script: str) -> None:
    """Make a program that does what the one of that name does to the state that a test looks at."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def type_it(command: str, programs: Path, **variables: str) -> str:
    """Type a command into a shell that finds a folder's programs first; returns what it prints."""
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    done = subprocess.run(  # noqa: S602  # as a person types it
        command, shell=True, check=False, capture_output=True, text=True,
        env=os.environ | variables | {"PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout
