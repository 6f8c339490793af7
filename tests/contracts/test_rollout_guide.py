"""The session of docs/rollout.md runs, and prints what the document shows."""

import re

import pytest

from tests.contracts.test_readme import ROOT
from tests.contracts.test_stages_guide import SESSION
from tests.shell import Shell, free_port

((COMMANDS, OUTPUT),) = SESSION.findall((ROOT / "docs" / "rollout.md").read_text(encoding="utf-8"))


def shown(text: str) -> set[str]:
    """The lines of a text without its numbers, of which times and counts differ."""
    return {re.sub(r"\d[\d.,:]*", "0", line).strip() for line in text.splitlines()}


@pytest.mark.slow
@pytest.mark.breadth
@pytest.mark.timeout(1500)  # of which most is trainings and imports
def test_the_session_prints_what_the_guide_shows(shell: Shell) -> None:
    said = shell(COMMANDS.replace("8086", str(free_port())))
    assert shown(OUTPUT) <= shown(said.stdout)
