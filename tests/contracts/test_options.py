"""Every option of every command is read by something: one that nothing reads is a lie."""

import ast
import dataclasses
import inspect
import re
import textwrap
from pathlib import Path

import click
import pytest

import cloche as package
from cloche.main import COMMANDS, cloche
from cloche.serving.batch.job.options import JobOptions as Job
from cloche.serving.cli.serve import settings_of
from cloche.serving.deployments.target import DeploymentOptions
from cloche.serving.settings import Settings
from cloche.training.promotion.promotion_request import PromotionRequest as Promotion

ROOT = Path(package.__file__).parent
# What takes its options as keywords, and hands them on.
HANDED_ON = {"serve": settings_of, "container": settings_of, "doctor": settings_of, "score": Job}
# command, option → why nothing reads it
UNREAD = {
    ("container", "task"): "clouds call the container with the word `serve`, which says nothing",
    ("container", "log_format"): "handed on to serve by its name",
    ("doctor", "log_format"): "the doctor takes the options of serve, and writes no log",
}
# record of options → by which names code has it
RECORDS = {
    Settings: "settings", Job: "request|self", Promotion: "request", DeploymentOptions: "options",
}  # fmt: skip


def names_read(function: object) -> set[str]:
    """The names that a function's body loads."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    body = ast.parse(source).body[0].body
    nodes = [node for line in body for node in ast.walk(line)]
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def fields(record: type) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_is_read_by_its_command(name):
    command = cloche.get_command(click.Context(cloche), name)
    read = names_read(command.callback)
    handed = HANDED_ON.get(name)
    if handed is settings_of:
        read |= names_read(settings_of) | fields(Settings)
    elif handed is not None:
        read |= fields(handed)
    unread = {one.name for one in command.params if one.name not in read}
    assert unread == {option for known, option in UNREAD if known == name and option not in read}


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_of_options_is_read_where_the_work_is_done(record):
    texts = [
        path.read_text()
        for room in ("serving", "training")
        for path in (ROOT / room).resolve().rglob("*.py")
    ]
    unread = [
        field
        for field in fields(record)
        if not any(re.search(rf"\b_?({RECORDS[record]})\.{field}\b", text) for text in texts)
    ]
    assert unread == []


def written_defaults(path: Path) -> set[str]:
    """The options of a command's module whose default is written there as a value."""
    found = set()
    for call in ast.walk(ast.parse(path.read_text())):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "click.option":
            default = next((word.value for word in call.keywords if word.arg == "default"), None)
            if isinstance(default, ast.Constant):
                names = [name.value for name in call.args if isinstance(name, ast.Constant)]
                found |= {name.lstrip("-").replace("-", "_") for name in names}
    return found


@pytest.mark.parametrize(
    ("module", "record"),
    [
        ("serving/cli/serve.py", Settings), ("serving/cli/score.py", Job),
        ("training/cli/promote.py", Promotion), ("up/command.py", Settings),
    ],
)  # fmt: skip
def test_a_default_is_written_in_the_record_alone(module, record):
    """Whoever uses the record from Python gets what the command line gives."""
    known = {
        one.name
        for one in dataclasses.fields(record)
        if one.default not in (dataclasses.MISSING, "", ())  # empty says the same everywhere
    }

    assert written_defaults((ROOT / module).resolve()) & known == set()
