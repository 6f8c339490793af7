"""Commands whose output cannot be written end in one sentence, and those that nobody reads end."""

import pytest

from cloche.main import COMMANDS
from tests.shell import Shell, folder, shell

__all__ = ["folder", "shell"]
pytestmark = pytest.mark.skipif("not __import__('os').path.exists('/dev/full')", reason="Linux")
FULL = "Error: standard output cannot be written: No space left on device.\n"
COMMON = ("score", "status", "train")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(one, marks=() if one in COMMON else pytest.mark.breadth)
        for one in COMMANDS
    ],
)  # fmt: skip
def test_on_a_full_device_every_command_says_so_and_to_a_reader_that_left_it_says_nothing(
    command: str, shell: Shell
):
    full = shell(f"cloche {command} --help >/dev/full", code=1)
    left = shell(f"cloche {command} --help | head -1; echo ${{PIPESTATUS[0]}}")

    assert full.stderr == FULL
    assert left.stderr == ""
    assert left.stdout.splitlines()[-1] == "0"


def test_tables_that_do_not_fit_end_in_one_sentence(shell: Shell):
    assert shell("cloche sample flights - >/dev/full", code=1).stderr.endswith(FULL)
    left = shell("cloche sample flights - | head -n 1; echo ${PIPESTATUS[0]}")
    assert "Traceback" not in left.stderr
    assert left.stdout.splitlines()[-1] == "0"


def test_lines_for_people_that_cannot_be_written_fail_nothing(shell: Shell):
    shell("cloche status nobody 2>/dev/full", code=1)
    shell("cloche sample diabetes rows.csv 2>/dev/full")
    assert "age" in shell("head -n 1 rows.csv").stdout
