"""The README's bash blocks run, in their order, in the shell of a user who activated .venv."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.shell import Shell

ROOT = Path(__file__).parents[2]


def blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.breadth
@pytest.mark.xdist_group("readme")
@pytest.mark.timeout(1500)  # it is all of the README
def test_every_bash_block_runs(shell: Shell):
    for block in blocks("bash"):
        shell(block, CLOCHE=str(ROOT))


def test_every_bash_block_is_well_formed():
    assert blocks("bash")
    for block in blocks("bash"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_the_gate_of_the_readme_is_a_gate():
    from pydantic import TypeAdapter
    from yaml import safe_load

    from cloche.training.recipe.criteria.gate import Gate

    (block,) = blocks("yaml")

    assert TypeAdapter(Gate).validate_python(safe_load(block)["gate"]).slices


def test_every_target_that_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
