"""Every page of help, as it appears in a terminal and in a pipe."""

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from cloche.main import COMMANDS, cloche
from cloche.serving.deployments.plugin import target_help
from tests.contracts.examples import examples

WIDTHS = (80, 60)
EVERYTHING_IN_ONE_LINE = 4000
PAGES = ["", *COMMANDS]
# What documents are marked up with, and a terminal shows as it is.
MARKUP = re.compile(r"`|\*\*|\]\(|\\[a-z]|<[a-z]+>|&[a-z]+;")
# What click puts there by itself, and says nothing to a person.
EMPTY_WORDS = re.compile(r'RANGE|\[%Y|default: ""|[a-z]\.\.\.$', re.MULTILINE)


def page(name: str, width: int) -> str:
    """The page of a command, or of all commands where the name is empty."""
    words = [name, "--help"] if name else ["--help"]
    # click leaves two columns of a terminal free, and the runner takes each for one of 80 columns
    done = CliRunner().invoke(cloche, words, prog_name="cloche", terminal_width=width - 2)
    assert done.exit_code == 0, done.output
    return done.stdout


def command(name: str) -> click.Command:
    return cloche.get_command(click.Context(cloche), name) if name else cloche


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_neither_control_characters_nor_markup(name):
    text = page(name, 80)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert MARKUP.findall(text) == []
    assert EMPTY_WORDS.findall(text) == []


def test_the_help_of_the_deployment_target_has_no_markup():
    assert MARKUP.findall(target_help()) == []
    assert max(map(len, target_help().splitlines())) <= 80


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_terminal_and_cuts_no_word(name, width):
    """A name that is cut at its hyphen cannot be copied."""
    text = page(name, width)
    example_lines = examples(name, joined=False)
    too_wide = [line for line in text.splitlines() if len(line) > width]

    assert [line.strip() for line in too_wide if line.strip() not in example_lines] == []
    assert width < 80 or too_wide == []
    assert text.split() == page(name, EVERYTHING_IN_ONE_LINE).split()


@pytest.mark.parametrize("name", PAGES)
def test_each_example_stands_on_a_line_of_its_own(name):
    lines = [line.strip() for line in page(name, 80).splitlines()]
    start = lines.index("Example:") + 1
    shown = lines[start : lines.index("", start)]

    assert shown == examples(name, joined=False)
    for one in examples(name):
        assert shlex.split(one.rpartition("| ")[2])[0] == "cloche", "a second line without a \\"


@pytest.mark.parametrize("name", PAGES)
def test_every_option_and_summary_is_a_sentence(name):
    about = {"summary": command(name).get_short_help_str(limit=EVERYTHING_IN_ONE_LINE)}
    about |= {
        one.opts[0]: one.help for one in command(name).params if isinstance(one, click.Option)
    }

    for what, text in about.items():
        assert re.fullmatch(r"[A-Z0-9].*\.", text or "", re.DOTALL), (what, text)
